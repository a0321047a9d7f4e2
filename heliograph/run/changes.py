"""Changes of objects, as people and programs read them. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import yaml
from msgspec import convert
from msgspec.structs import replace

from heliograph.kilo.peer import PEERS
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    SERVICES,
    KubeObject,
    Resource,
    Service,
)

Fields = dict[str, object]
Action = Literal["create", "change", "recreate", "remove", "refuse"]

_BY_KIND: Final[Mapping[str, Resource[Any]]] = {
    resource.kind: resource
    for resource in (NAMESPACES, SERVICES, ENDPOINTS, ENDPOINT_SLICES, PEERS)
}
_SPEC_DEFAULTS: Final = {
    "type": "ClusterIP",
    "internalTrafficPolicy": "Cluster",
    "sessionAffinity": "None",
}
_PORT_DEFAULTS: Final = {"protocol": "TCP"}
"""What the API server writes out, so that what changes stands beside what it was."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a plan.

    Attributes:
        action: What would be done; "recreate" is to delete and create anew, "refuse" is nothing.
        kind: Kind of the object.
        namespace: Its namespace; empty if it has none.
        name: Its name.
        diff: How its fields would change, as a unified diff of YAML; for what stands and stays.
        object: As it would be written; for what is created.
        reason: Why it is refused: one CamelCase word.
        message: The same in a sentence, with what to do.
    """

    action: Action
    kind: str
    namespace: str = ""
    name: str
    diff: str = ""
    object: Fields | None = None
    reason: str = ""
    message: str = ""


def change_of(
    kind: str, before: KubeObject | None, after: KubeObject | None, *, recreated: bool = False
) -> Change | None:
    """Return what becomes of an object; None when nothing that we can see does.

    At least one of both is given.
    """
    found = after or before
    assert found is not None  # noqa: S101 - a programming error
    named = Change(
        action="remove",
        kind=kind,
        namespace=found.metadata.namespace,
        name=found.metadata.name,
    )
    if after is None:
        return named
    if before is None:
        return replace(named, action="create", object=manifest(kind, after))
    diff = unified_diff(kind, before, after)
    if not diff and not recreated:
        return None
    return replace(named, action="recreate" if recreated else "change", diff=diff)


def unified_diff(kind: str, before: KubeObject, after: KubeObject) -> str:
    """Return the unified diff of two objects' YAML; empty when they are equal."""
    namespace = f"{after.metadata.namespace}/" if after.metadata.namespace else ""
    name = f"{kind} {namespace}{after.metadata.name}"
    lines = difflib.unified_diff(
        _yaml(manifest(kind, before)),
        _yaml(manifest(kind, after)),
        fromfile=f"{name} as it is",
        tofile=f"{name} as planned",
    )
    return "".join(lines)


def manifest(kind: str, obj: KubeObject) -> Fields:
    """Return an object as people write it, without what the API server alone decides."""
    metadata = replace(
        obj.metadata,
        uid="",
        resource_version="",
        creation_timestamp=None,
        deletion_timestamp=None,
        managed_fields=(),
    )
    body = _BY_KIND[kind].body(_completed(replace(obj, metadata=metadata)))
    document = msgspec.json.decode(body, type=Fields)
    if kind == SERVICES.kind:
        spec = {**_SPEC_DEFAULTS, **convert(document["spec"], Fields)}
        document["spec"] = _with_protocols(spec)
        return document
    return _with_protocols(document)


def _with_protocols(fields: Fields) -> Fields:
    """Return fields with the protocol of each port, which our Structs leave out when it is TCP."""
    if "ports" not in fields:
        return fields
    ports = convert(fields["ports"], list[Fields])
    return {**fields, "ports": [{**_PORT_DEFAULTS, **port} for port in ports]}


def _completed(obj: KubeObject) -> KubeObject:
    """Return a Service with the target ports that the API server gives to those without."""
    if not isinstance(obj, Service):
        return obj
    ports = tuple(
        port if port.target_port is not None else replace(port, target_port=port.port)
        for port in obj.spec.ports
    )
    return replace(obj, spec=replace(obj.spec, ports=ports))


def _yaml(document: Fields) -> list[str]:
    return yaml.safe_dump(document, allow_unicode=True).splitlines(keepends=True)
