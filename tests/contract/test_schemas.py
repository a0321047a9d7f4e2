"""The JSON Schemas of the contract, held to a published validator and to the stored examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator

from heliograph.contract.messages import AnyMessage, ServiceExported, message_type
from heliograph.contract.subjects import Kind
from heliograph.mesh.event import MeshEvent
from tests.support.builders import CREATED, EAST
from tests.support.malformed import BAD_FEEDBACK, BAD_NODES, MALFORMED

SCHEMAS = {
    path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
    for path in Path(__file__).parents[2].glob("docs/contract/schemas/*.json")
}
EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.json"))
BAD = {
    **{f"service: {name}": ("service.exported.v1", bad) for name, bad in MALFORMED.items()},
    **{f"node: {name}": ("node.announced.v1", bad + b"}") for name, bad in BAD_NODES.items()},
    **{f"feedback: {name}": ("feedback", bad) for name, bad in BAD_FEEDBACK.items()},
}
del BAD["service: half a surrogate pair"]  # JSON Schema sees texts, not how they are encoded


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def accepts(name: str, payload: bytes) -> bool:
    """Tell whether bytes are JSON that a schema takes."""
    try:
        value: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return validator(name).is_valid(value)


EVENTS = {
    "added": MeshEvent(
        change="added",
        cluster=EAST,
        kind=Kind.SERVICE,
        namespace="shop",
        name="cart",
        data=ServiceExported(ready=True, exported_at=CREATED),
        live=True,
    ),
    "withdrawn": MeshEvent(change="withdrawn", cluster=EAST, kind=Kind.NODE, name="n1"),
    "synced": MeshEvent(change="synced", cluster=EAST),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_what_the_command_prints_has_a_schema(event: MeshEvent) -> None:
    """`heliograph events --json`; its data is one of the messages, and nothing else."""
    payload = msgspec.json.encode(event)
    assert accepts("mesh.event", payload)
    assert not accepts("mesh.event", payload.replace(b"true", b'"yes"').replace(b'"east"', b"1"))


def test_every_message_has_a_schema() -> None:
    """Feedback, and what is asked and answered, too."""
    types = {message_type(kind) for kind in get_args(AnyMessage)}
    assert types | {"feedback", "tunnels.asked", "tunnels.told", "status.told"} <= set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_keeps_to_its_dialect(name: str) -> None:
    """It says that it is of draft 2020-12, and that draft's metaschema agrees."""
    assert SCHEMAS[name]["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_explained(name: str) -> None:
    """But for `type`, which explains itself, each has the words of its docstring."""
    parts = [SCHEMAS[name], *SCHEMAS[name].get("$defs", {}).values()]
    silent = [
        f"{part['title']}.{field}"
        for part in parts
        for field, rules in part.get("properties", {}).items()
        if field != "type" and not rules.get("description")
    ]
    assert silent == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_stored_examples_are_valid(path: Path) -> None:
    """Whatever was written once, also by a newer version, is what its schema says, and no other."""
    name = path.stem.removesuffix(".from-the-future").removesuffix(".with-steps")
    validator(name).validate(json.loads(path.read_bytes()))
    taken = {other for other in SCHEMAS if accepts(other, path.read_bytes())}
    assert taken - {"tunnels.asked", "traces.asked"} == {name}  # questions may say more


@pytest.mark.parametrize(("name", "payload"), BAD.values(), ids=BAD)
def test_what_we_refuse_is_not_valid(name: str, payload: bytes) -> None:
    """A schema is as strict as our own reader."""
    assert not accepts(name, payload)
