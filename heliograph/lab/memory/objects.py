"""Kubernetes objects as plain JSON dictionaries, and the few things every module asks of them.

An API server stores what it is given, fields it has never heard of included: a dictionary is the
honest type here, and only in this package. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import msgspec

JsonObject: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str]  # (namespace, name); the namespace of cluster-scoped objects is ""

ENCODER = msgspec.json.Encoder()


def decoded(body: bytes) -> JsonObject:
    """Return the JSON object in `body`; raises `msgspec.DecodeError` when there is none."""
    return msgspec.json.decode(body, type=JsonObject)


def copied(obj: JsonObject) -> JsonObject:
    """Return a deep copy: stored objects are never changed in place."""
    return decoded(ENCODER.encode(obj))


def metadata(obj: JsonObject) -> JsonObject:
    """Return the object's metadata, for reading or changing."""
    return cast("JsonObject", obj["metadata"])


def name_of(obj: JsonObject) -> str:
    """Return `metadata.name`, empty when there is none."""
    return str(metadata(obj).get("name", ""))


def labels_of(obj: JsonObject) -> Mapping[str, str]:
    """Return the object's labels; empty when it has none."""
    return metadata(obj).get("labels") or {}


def field_of(obj: JsonObject, path: str) -> object:
    """Return the value at a dotted path such as "spec.type"; None where the path ends early."""
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with null members of objects dropped, as typed servers read it."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def drop_empty(obj: JsonObject, *names: str) -> None:
    """Drop the named members when they are empty: the real server omits them."""
    for name in names:
        if obj.get(name) in ("", {}, [], None):
            obj.pop(name, None)
