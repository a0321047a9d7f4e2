"""As much OpenAPI as kubectl wants to see: that the server validates fields itself. Pure.

kubectl looks for the parameter `fieldValidation` at a kind's PATCH before it leaves validation to
the server; schemas of the objects are not given, and it does without.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import JsonObject

_INFO = {"title": "Kubernetes", "version": "unversioned"}
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation")
]


def openapi_v2() -> JsonObject:
    """Return an empty document of version 2."""
    return {"swagger": "2.0", "info": _INFO, "paths": {}, "definitions": {}}


def openapi_index(kinds: Iterable[Kind]) -> JsonObject:
    """Return where the documents of version 3 are."""
    places = sorted({_place(k) for k in kinds})
    return {"paths": {p: {"serverRelativeURL": f"/openapi/v3/{p}?hash=0"} for p in places}}


def openapi_paths(place: str, kinds: Iterable[Kind]) -> JsonObject | None:
    """Return the document of one group and version; None when there is none."""
    found = [k for k in kinds if _place(k) == place]
    if not found:
        return None
    paths = {_path(kind): {"patch": _patch(kind)} for kind in found}
    schemas = {_schema_name(k): _schema(k) for k in found}
    document: JsonObject = {"openapi": "3.0.0", "info": _INFO, "paths": paths}
    return document | {"components": {"schemas": schemas}}


def _place(kind: Kind) -> str:
    return f"{'apis' if kind.group else 'api'}/{kind.api_version}"


def _path(kind: Kind) -> str:
    scope = "/namespaces/{namespace}" if kind.namespaced else ""
    return f"/{_place(kind)}{scope}/{kind.plural}/{{name}}"


def _named(kind: Kind) -> JsonObject:
    return {"group": kind.group, "version": kind.version, "kind": kind.name}


def _patch(kind: Kind) -> JsonObject:
    named: JsonObject = {"x-kubernetes-action": "patch"}
    named |= {"x-kubernetes-group-version-kind": _named(kind), "parameters": _PARAMETERS}
    return named | {"responses": {"200": {"description": "OK"}}}


def _schema_name(kind: Kind) -> str:
    group = ".".join(reversed((kind.group or "core.k8s.io").split(".")))
    return f"{group}.{kind.version}.{kind.name}"


def _schema(kind: Kind) -> JsonObject:
    free: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return free | {"x-kubernetes-group-version-kind": [_named(kind)]}
