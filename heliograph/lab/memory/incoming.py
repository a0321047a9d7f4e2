"""What arrives with a write, before it is judged: brought into form, placed, compared. Pure.

Source: apiserver's pkg/registry/rest (create.go, update.go, delete.go), v0.36.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.names import check_metadata
from heliograph.lab.memory.objects import (
    JsonObject,
    drop_empty,
    metadata,
    name_of,
    without_nulls,
)
from heliograph.lab.memory.resources import Resource
from heliograph.lab.memory.shapes import drop_unknown, require_types
from heliograph.lab.memory.status import (
    Cause,
    bad_request,
    conflict,
    internal,
    invalid,
    invalid_object,
    required,
)
from heliograph.lab.memory.store import Item

_MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
_MAY_BE_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences")
_SERVER_OWNED = (
    *("uid", "creationTimestamp", "resourceVersion", "generation", "managedFields"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes, and how.

    Attributes:
        manager: Name for `managedFields`.
        dry_run: Whether everything happens but the storing.
        subresource: "status", "finalize", or empty for the object itself.
        strict: Whether unknown members are an error; otherwise they are dropped with a warning.
        warnings: Takes what the client should be told.
    """

    manager: str = "heliograph-lab"
    dry_run: bool = False
    subresource: str = ""
    strict: bool = False
    warnings: list[str] = msgspec.field(default_factory=list)


def received(resource: Resource, namespace: str, obj: JsonObject, caller: Caller) -> JsonObject:
    """Return the object as it is worked on: stored form, in its namespace, without nulls.

    Raises `StatusError` 400 when it is of another kind, has members of a wrong type, or names
    another namespace than the request; 422 for a custom resource of another kind.
    """
    kind, rules = resource.kind, resource.rules
    _require_type(kind, obj)
    new: JsonObject = without_nulls(obj)
    require_types(new, rules.shape, kind.name)
    new.setdefault("metadata", {})
    _report_unknown(kind, [*drop_unknown(new, rules.shape), *rules.prune(new)], caller)
    _place(metadata(new), namespace, namespaced=kind.namespaced)
    return resource.stored_form(new)


def furnish(resource: Resource, new: JsonObject, uid: str, now: str) -> None:
    """Give a new object what the server gives every one, and take what only it may give."""
    meta = metadata(new)
    for member in ("selfLink", *_SERVER_OWNED):
        meta.pop(member, None)
    meta["uid"] = uid
    meta["creationTimestamp"] = now
    if resource.kind.generation is not None:
        meta["generation"] = 1
    if resource.kind.status_reset:
        new.pop("status", None)
    drop_empty(meta, *_MAY_BE_EMPTY)


def carry_over(resource: Resource, old: JsonObject, new: JsonObject, subresource: str) -> None:
    """Undo in `new` what this kind of update may not change."""
    before, meta = metadata(old), metadata(new)
    for member in _SERVER_OWNED:
        meta.pop(member, None)
        if member in before:
            meta[member] = before[member]
    drop_empty(meta, *_MAY_BE_EMPTY)
    if subresource == "status":
        _keep(old, new, [m for m in (*old, *new) if m not in ("metadata", "status")])
    elif subresource == "finalize":
        _keep(old, new, [m for m in (*old, *new) if m != "spec"])
    elif resource.kind.status:
        _keep(old, new, ["status"])


def refuse(resource: Resource, name: str, causes: Sequence[Cause]) -> None:
    """Raise `StatusError` 422 when there are causes to."""
    if causes:
        raise invalid_object(resource.kind.qualified_name, name, causes)


def check_general(resource: Resource, new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Say what is wrong with a name (of a new object) and the rest of the metadata."""
    if old is not None:
        return check_metadata(new, old)
    name = name_of(new)
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    return [*resource.kind.check_name("metadata.name", name), *check_metadata(new, None)]


def require_name(new: JsonObject, name: str) -> None:
    """Raise `StatusError` 400 unless the object bears the name of the request's path."""
    actual = name_of(new)
    if not actual:
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: "
            "name must be provided"
        )
    if actual != name:
        raise bad_request(
            f"the name of the object ({actual}) does not match the name on the URL ({name})"
        )


def check_version(resource: Resource, item: Item, new: JsonObject) -> None:
    """Raise `StatusError` 409, 422 or 500 when the writer's resource version is not the stored."""
    version = metadata(new).get("resourceVersion")
    if version == str(item.version):
        return
    if version and not version.isdigit():
        raise internal(f'strconv.ParseUint: parsing "{version}": invalid syntax')
    if version:
        raise conflict(resource.kind.resource, item.key[1], _MODIFIED)
    if not resource.kind.unconditional_update:
        field = "metadata.resourceVersion"
        cause = invalid(field, 0, "must be specified for an update")
        raise invalid_object(resource.kind.resource, item.key[1], [cause])


def check_uid(resource: Resource, name: str, uid: str, actual: str) -> None:
    """Raise `StatusError` 409 when an update names another uid than the stored object's."""
    if uid and uid != actual:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}"
        raise conflict(resource.kind.resource, name, why)


def _require_type(kind: Kind, obj: JsonObject) -> None:
    """Take the type's name off an object; raise `StatusError` unless it is the kind's."""
    name, version = obj.pop("kind", None), obj.pop("apiVersion", None)
    if kind.custom and name is None:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    if kind.custom and name != kind.name and version == kind.api_version:
        cause = invalid("kind", name, f"must be {kind.name}")
        named = (obj.get("metadata") or {}).get("name", "")
        raise invalid_object(f"{name}.{kind.group}", named, [cause])
    if name not in (None, kind.name) or version not in (None, kind.api_version):
        raise bad_request(
            f'{name} in version "{version}" cannot be handled as a {kind.name}: '
            f"it must be a {kind.name} in version {kind.api_version}"
        )


def _report_unknown(kind: Kind, paths: list[str], caller: Caller) -> None:
    said = [f'unknown field "{path}"' for path in paths]
    if said and caller.strict:
        raise bad_request(
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
            f"strict decoding error: {', '.join(said)}"
        )
    caller.warnings.extend(said)


def _place(meta: JsonObject, namespace: str, *, namespaced: bool) -> None:
    if not namespaced:
        meta.pop("namespace", None)
    elif (meta.get("namespace") or namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    else:
        meta["namespace"] = namespace


def _keep(old: JsonObject, new: JsonObject, members: list[str]) -> None:
    for member in members:
        new.pop(member, None)
        if member in old:
            new[member] = old[member]
