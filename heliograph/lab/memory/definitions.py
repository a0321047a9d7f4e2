"""CustomResourceDefinitions: kinds that come and go while the server runs.

As much as the laboratory needs: one version, served and stored, with a schema of types and required
members. A definition that asks for more is refused, and told so. A kind is served from the moment
its definition is stored, and gone with it, whatever finalizers its objects have; the real server
takes some tenths of a second for the first, and waits for the finalizers.
Source: apiextensions-apiserver's pkg/apis/apiextensions/validation, v0.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import msgspec

from heliograph.lab.memory.kinds import Kind, all_but_metadata_differs, content_differs
from heliograph.lab.memory.objects import JsonObject, metadata
from heliograph.lab.memory.resources import Resource, Resources
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.schema import Schema, prune, violations
from heliograph.lab.memory.shapes import CUSTOM_RESOURCE_DEFINITION, METADATA, drop_unknown
from heliograph.lab.memory.status import Cause, invalid, required
from heliograph.lab.memory.store import Store

_LIMIT = "the in-memory API server serves no such definition"
_IMMUTABLE = "field is immutable"
_NAMES_ACCEPTED = ("NamesAccepted", "NoConflicts", "no conflicts found")
_ESTABLISHED = (
    "Established",
    "InitialNamesAccepted",
    "the initial names have been accepted",
)


class _Struct(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A part of a definition that may have no member which is not known here."""


class _Names(_Struct, frozen=True, kw_only=True):
    plural: str
    kind: str
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class _Validation(_Struct, frozen=True, kw_only=True):
    schema: Schema = msgspec.field(name="openAPIV3Schema")


class _Subresources(_Struct, frozen=True, kw_only=True):
    status: dict[str, Any] | None = None


class _Version(_Struct, frozen=True, kw_only=True):
    name: str
    served: Literal[True]
    storage: Literal[True]
    schema: _Validation
    subresources: _Subresources = _Subresources()


class _Conversion(_Struct, frozen=True, kw_only=True):
    strategy: Literal["None"] = "None"


class Definition(_Struct, frozen=True, kw_only=True):
    """The spec of a CustomResourceDefinition, as far as it is served."""

    group: str
    scope: Literal["Cluster", "Namespaced"]
    names: _Names
    versions: tuple[_Version]
    conversion: _Conversion = _Conversion()
    preserve_unknown_fields: Literal[False] = False

    @property
    def version(self) -> _Version:
        """Return the one version."""
        return self.versions[0]

    def kind(self) -> Kind:
        """Return the kind that is served."""
        status = self.version.subresources.status is not None
        return Kind(
            group=self.group,
            version=self.version.name,
            name=self.names.kind,
            plural=self.names.plural,
            short_names=self.names.short_names,
            categories=self.names.categories,
            namespaced=self.scope == "Namespaced",
            status=status,
            status_reset=status,
            generation=content_differs if status else all_but_metadata_differs,
            unconditional_update=False,
            custom=True,
        )

    def rules(self) -> Rules:
        """Return how its objects are checked."""
        schema = self.version.schema.schema

        def admit(new: JsonObject, old: JsonObject | None) -> list[Cause]:
            del old
            return violations(new, schema)

        return Rules(admit=admit, prune=partial(_prune, schema=schema))


class Definitions:
    """Serves the kinds that are defined: the rules of CustomResourceDefinition."""

    def __init__(self, store: Store, resources: Resources) -> None:
        self._store, self._resources = store, resources

    def rules(self) -> Rules:
        """Return the rules."""
        return Rules(admit=admit_definition, settle=self._settle, shape=CUSTOM_RESOURCE_DEFINITION)

    def _settle(self, new: JsonObject | None, old: JsonObject | None) -> None:
        if new is not None:
            self._serve(_read(new))
        elif old is not None:
            self._withdraw(_read(old))

    def _serve(self, definition: Definition) -> None:
        kind, rules = definition.kind(), definition.rules()
        resource = self._find(kind)
        if resource is None:
            made = self._resources.add(kind, rules)
            made.collection.compact(self._store.version)  # what was there before is not known
        else:
            resource.kind, resource.rules = kind, rules

    def _withdraw(self, definition: Definition) -> None:
        """Remove a kind with its objects; whoever watches them is told, then cut off."""
        resource = self._find(definition.kind())
        if resource is None:
            return
        for key in list(resource.collection.items):
            self._store.remove(resource.collection, key)
        self._resources.remove(resource)
        self._store.forget(resource.collection)

    def _find(self, kind: Kind) -> Resource | None:
        return self._resources.find(kind.group, kind.version, kind.plural)


def admit_definition(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Complete a definition, and say what is wrong with it, or what is not served here."""
    spec = new.setdefault("spec", {})
    if missing := list(_missing(spec)):
        return missing
    names = spec["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    try:
        definition = _read(new)
    except msgspec.ValidationError as exc:
        return [invalid("spec", "", f"{_LIMIT}: {exc}")]
    new["status"] = _status(new, definition)
    return [*_check(new, definition), *(_check_change(definition, _read(old)) if old else ())]


def _read(obj: JsonObject) -> Definition:
    return msgspec.convert(obj["spec"], Definition)


def _missing(spec: JsonObject) -> Iterator[Cause]:
    names = spec.get("names") or {}
    yield from (required(f"spec.{m}") for m in ("group", "scope") if not spec.get(m))
    yield from (required(f"spec.names.{m}") for m in ("plural", "kind") if not names.get(m))
    if not spec.get("versions"):
        yield invalid(
            "spec.versions", None, "must have exactly one version marked as storage version"
        )
    for number, version in enumerate(spec.get("versions") or ()):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{number}].schema.openAPIV3Schema")


def _check(new: JsonObject, definition: Definition) -> Iterator[Cause]:
    names, name = definition.names, metadata(new).get("name", "")
    if name != f"{names.plural}.{definition.group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    expected = {"singular": names.kind.lower(), "listKind": f"{names.kind}List"}
    for member, value in expected.items():
        if new["spec"]["names"][member] != value:
            yield invalid(f"spec.names.{member}", new["spec"]["names"][member], _LIMIT)


def _check_change(new: Definition, old: Definition) -> Iterator[Cause]:
    if new.group != old.group:
        yield invalid("spec.group", new.group, _IMMUTABLE)
    if new.scope != old.scope:
        yield invalid("spec.scope", new.scope, _IMMUTABLE)
    if new.names.kind != old.names.kind:
        yield invalid("spec.names.kind", new.names.kind, _IMMUTABLE)
    if new.version.name != old.version.name:
        yield invalid("spec.versions[0].name", new.version.name, _LIMIT)


def _status(new: JsonObject, definition: Definition) -> JsonObject:
    since = metadata(new)["creationTimestamp"]
    conditions = [
        {"type": t, "status": "True", "lastTransitionTime": since, "reason": r, "message": m}
        for t, r, m in (_NAMES_ACCEPTED, _ESTABLISHED)
    ]
    status: JsonObject = {"conditions": conditions, "acceptedNames": new["spec"]["names"]}
    return status | {"storedVersions": [definition.version.name]}


def _prune(new: JsonObject, schema: Schema) -> list[str]:
    of_metadata = drop_unknown(metadata(new), METADATA)
    return sorted([*(f"metadata.{p}" for p in of_metadata), *prune(new, schema)])
