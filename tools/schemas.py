"""JSON Schemas (draft 2020-12) of what is on the bus, from the contract's Structs. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec
from docstring_parser import parse_from_object

from heliograph.contract import feedback, messages, programs, traces, tunnels
from heliograph.mesh.event import MeshEvent

Json = dict[str, Any]
EVENT: Final = "mesh.event"
"""What `heliograph events --json` prints; the only one that is not on the bus."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MESSAGES: Final[tuple[type[messages.Message], ...]] = get_args(messages.AnyMessage)
STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    **{messages.message_type(one): one for one in MESSAGES},  # type: ignore[arg-type] - reads the class
    "feedback": feedback.Feedback,
    "tunnels.asked": tunnels.TunnelsAsked,
    "tunnels.told": tunnels.TunnelsTold,
    "traces.asked": traces.TraceAsked,
    "traces.told": traces.TraceTold,
    "status.told": programs.ProgramStatus,
    EVENT: MeshEvent,
}
"""By the name of the schema; a message's is its type."""


def files() -> dict[str, str]:
    """Return each schema as a file, by its name."""
    return {
        f"{name}.json": json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
        for name in STRUCTS
    }


def schema(name: str) -> Json:
    """Return one schema, whole in itself."""
    (root,), parts = msgspec.json.schema_components([STRUCTS[name]])
    described = parts | {one: _described(parts[one], struct) for one, struct in _structs(name)}
    own = described.pop(root["$ref"].rpartition("/")[2])
    head = {"$schema": DIALECT, "$id": f"urn:heliograph:contract:v1:{name}"}
    return {**head, **own, **({"$defs": described} if described else {})}


def summary(struct: type[msgspec.Struct]) -> str:
    """Return what a Struct is, without its attributes: its docstring on one line."""
    parsed = parse_from_object(struct)
    return _line(f"{parsed.short_description} {parsed.long_description or ''}")


def _structs(name: str) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Yield the Struct of a schema, and those that it is made of."""
    waiting, seen = [STRUCTS[name]], set[str]()
    while waiting:
        struct = waiting.pop(0)
        if struct.__name__ not in seen:
            seen.add(struct.__name__)
            yield struct.__name__, struct
            waiting += _inside(*(field.type for field in msgspec.structs.fields(struct)))


def _inside(*types: Any) -> Iterator[type[msgspec.Struct]]:  # noqa: ANN401 - any annotation
    for one in types:
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            yield one
        yield from _inside(*get_args(one))


def _described(found: Json, struct: type[msgspec.Struct]) -> Json:
    """Return a Struct's schema with its docstring where it belongs."""
    texts = {one.arg_name: _line(one.description or "") for one in parse_from_object(struct).params}
    fields = {
        name: {"description": texts[name], **field} if name in texts else field
        for name, field in found["properties"].items()
    }
    return {**found, "description": summary(struct), "properties": fields}


def _line(text: str) -> str:
    """Return one line, in the words of JSON."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))
