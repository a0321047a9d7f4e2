"""Structural schemas of custom resources: what objects must be like, and what is pruned. Pure.

As much as the laboratory's custom resources need: types, required members, and nothing else. A
schema that says more is refused as a whole, so that nobody believes in a check that is not made.
Source: the Kubernetes page "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import Cause, required

_TYPE_META: Final = ("apiVersion", "kind", "metadata")  # every kind has them, whatever it says
_WHOLE_NUMBERS: Final = {"int32": 2**31, "int64": 2**63, "": 2**63}


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One level of `openAPIV3Schema`; `required` names some of `properties`."""

    type: Literal["object", "array", "string", "integer", "number", "boolean"]
    description: str = ""
    format: Literal["", "int32", "int64"] = ""
    properties: Mapping[str, Schema] = {}
    required: tuple[str, ...] = ()
    items: Schema | None = None


def prune(obj: JsonObject, schema: Schema) -> list[str]:
    """Drop the members of an object that its schema does not have; return their paths."""
    known = schema.properties.keys() | set(_TYPE_META)
    return [
        *_drop(obj, known, ""),
        *(p for m in _told(obj, schema) for p in _prune(obj[m], schema.properties[m], m)),
    ]


def violations(obj: JsonObject, schema: Schema) -> list[Cause]:
    """Return what a schema finds wrong with an object, apart from its metadata."""
    return list(_members({m: v for m, v in obj.items() if m not in _TYPE_META}, schema, ""))


def _told(obj: JsonObject, schema: Schema) -> list[str]:
    return [m for m in obj if m in schema.properties and m not in _TYPE_META]


def _prune(value: Any, schema: Schema, path: str) -> list[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, list) and schema.items is not None:
        places = enumerate(value)
        return [p for i, v in places for p in _prune(v, schema.items, f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    dropped = _drop(value, schema.properties.keys(), f"{path}.")
    below = value.items()
    return [
        *dropped,
        *(p for m, v in below for p in _prune(v, schema.properties[m], f"{path}.{m}")),
    ]


def _drop(obj: JsonObject, known: Any, prefix: str) -> list[str]:  # noqa: ANN401 - a set of names
    unknown = [m for m in obj if m not in known]
    for member in unknown:
        del obj[member]
    return [f"{prefix}{m}" for m in unknown]


def _check(value: Any, schema: Schema, path: str) -> Iterator[Cause]:  # noqa: ANN401
    if not _CHECKS[schema.type](value):
        yield _mistyped(value, schema, path)
    elif schema.type == "object":
        yield from _members(value, schema, f"{path}.")
    elif schema.type == "array" and schema.items is not None:
        for number, item in enumerate(value):
            yield from _check(item, schema.items, f"{path}[{number}]")
    elif schema.type == "integer" and not _fits(value, schema):
        yield _too_wide(schema, path)


def _members(obj: JsonObject, schema: Schema, prefix: str) -> Iterator[Cause]:
    yield from (required(f"{prefix}{m}") for m in schema.required if m not in obj)
    for member, value in sorted(obj.items()):
        yield from _check(value, schema.properties[member], f"{prefix}{member}")


def _fits(value: int, schema: Schema) -> bool:
    limit = _WHOLE_NUMBERS[schema.format]
    return -limit <= value < limit


def _mistyped(value: Any, schema: Schema, path: str) -> Cause:  # noqa: ANN401
    found = f'"{_name(value)}"'
    why = f"{path} in body must be of type {schema.type}: {found}"
    return Cause(
        reason="FieldValueTypeInvalid", message=f"Invalid value: {found}: {why}", field=path
    )


def _too_wide(schema: Schema, path: str) -> Cause:
    """Return what the real server says of a number out of range; it names no field."""
    why = f"Checked value must be of type integer with format {schema.format} in {path}"
    return Cause(reason="FieldValueInvalid", message=f'Invalid value: "": {why}', field="<nil>")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHECKS: Final[Mapping[str, Callable[[object], bool]]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": _is_number,
    "boolean": lambda v: isinstance(v, bool),
}
_NAMES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
}


def _name(value: object) -> str:
    return _NAMES[type(value)]
