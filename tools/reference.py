"""Reference pages made from the code: commands with their flags, settings, kinds of events."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final
from unittest import mock

import msgspec

from heliograph.cli.app import app
from heliograph.cli.asked import AskSettings, ReachSettings, StatusSettings
from heliograph.cli.examples import commands, examples
from heliograph.cli.flags import explanations, shown
from heliograph.contract.subjects import Kind
from heliograph.run.settings import BusSettings, ProgramSettings
from heliograph.settings import PREFIX
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.settings import AgentSettings
from services.reflector.settings import ReflectorSettings
from services.watcher.settings import WatcherSettings
from tools import asyncapi, schemas
from tools.schemas import Json

_HEAD: Final = "<!-- Generated from the code by `make generate`; do not edit. -->\n\n"
_SETTINGS: Final[dict[str, tuple[type[msgspec.Struct], str]]] = {
    "The bus": (BusSettings, "All programs, and commands that ask over the bus."),
    "Programs": (ProgramSettings, "watcher, reflector and peerer."),
    "Watcher": (WatcherSettings, "`heliograph watcher`"),
    "Reflector": (ReflectorSettings, "`heliograph reflector`"),
    "Peerer": (PeererSettings, "`heliograph peerer`"),
    "WireGuard agent": (AgentSettings, "`heliograph peerer --backend wireguard`"),
    "Asking agents": (AskSettings, "`heliograph peers`"),
    "As whom to ask": (ReachSettings, "`heliograph events` and `heliograph status`"),
    "Status": (StatusSettings, "`heliograph status`"),
}
_WINS: Final = (
    "A flag wins over the environment. Lists are separated by commas in the environment, and "
    "repeated as flags. A misspelt variable is an error that names the nearest."
)
_ASKED: Final = ("feedback", "tunnels.asked", "tunnels.told", "status.told")


def files() -> dict[str, str]:
    """Return each page by its name."""
    return {"commands.md": _commands(), "settings.md": _settings(), "events.md": _events()}


def _commands() -> str:
    """Return what cyclopts writes, with each command's examples."""
    # cyclopts calls the program as it was called, which is not of the page.
    with mock.patch.object(sys, "argv", ["heliograph"]):
        text = app.generate_docs(output_format="markdown")
    text = text.replace("# heliograph\n", "# Commands\n", 1)
    for path, command in commands(app):
        if path and (lines := examples(command)):
            heading = f"# {' '.join(('heliograph', *path))}\n"
            before, found, after = text.partition(heading)
            usage, fence, rest = after.partition("\n```\n")
            shown_examples = "\n".join(("", "Examples:", "", "```sh", *lines, "```", ""))
            text = before + found + usage + fence + shown_examples + rest
    return _HEAD + text.rstrip() + "\n"


def _settings() -> str:
    parts = [
        "# Settings",
        _WINS,
    ]
    for title, (struct, whose) in _SETTINGS.items():
        rows = [_setting(struct, field) for field in _own_fields(struct)]
        parts += [f"## {title}", whose, _table(("flag", "environment", "default", "meaning"), rows)]
    return _HEAD + "\n\n".join(parts) + "\n"


def _own_fields(struct: type[msgspec.Struct]) -> Iterable[msgspec.structs.FieldInfo]:
    """Return the fields that no Struct which it extends has."""
    base = struct.__mro__[1]
    inherited = base.__struct_fields__ if issubclass(base, msgspec.Struct) else ()
    return (one for one in msgspec.structs.fields(struct) if one.name not in inherited)


def _setting(struct: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> tuple[str, ...]:
    default = "required" if field.required else f"`{shown(field.default)}`"
    flag, variable = field.name.replace("_", "-"), field.name.upper()
    return f"`--{flag}`", f"`{PREFIX}{variable}`", default, explanations(struct)[field.name]


def _events() -> str:
    parts = [
        "# Kinds of mesh events",
        "What is on the bus. [The contract](../contract/README.md) says how to read it.",
    ]
    channels = asyncapi.document()["channels"]
    for kind in Kind:
        channel = channels[kind.value]
        parts += [f"## {kind.value}", channel["description"], f"Subject: `{channel['address']}`"]
        for name in channel["messages"]:
            parts += _message(name)
    parts += ["## What `heliograph events --json` prints", *_message(schemas.EVENT, whole=False)]
    parts.append("## Beside the streams")
    for name in _ASKED:
        parts += _message(name)
    return _HEAD + "\n\n".join(parts) + "\n"


def _message(name: str, *, whole: bool = True) -> list[str]:
    schema = schemas.schema(name)
    parts = [f"### {name}", schema["description"]]
    inside = schema.get("$defs", {}).values() if whole else ()
    for part in (schema, *inside):
        rules_of = part.get("properties", {})
        fields = {key: rules for key, rules in rules_of.items() if key != "type"}
        if fields:
            title = [] if part is schema else [f"`{part['title']}`: {part['description']}"]
            needed = part.get("required", ())
            rows = [_field(key, rules, key in needed) for key, rules in fields.items()]
            parts += [*title, _table(("field", "type", "default", "meaning"), rows)]
    return parts


def _field(name: str, rules: Json, required: bool) -> tuple[str, ...]:  # noqa: FBT001
    default = "required" if required else f"`{msgspec.json.encode(rules['default']).decode()}`"
    return f"`{name}`", _type(rules), default, rules.get("description", "")


def _type(rules: Any) -> str:  # noqa: ANN401 - any schema
    """Return the type of a value in words."""
    if "anyOf" in rules:
        return " or ".join(map(_type, rules["anyOf"]))
    if "enum" in rules:
        return ", ".join(f"`{msgspec.json.encode(one).decode()}`" for one in rules["enum"])
    if "$ref" in rules:
        return f"`{rules['$ref'].rpartition('/')[2]}`"
    if rules.get("type") == "array":
        return f"list of {_type(rules['items'])}"
    if isinstance(rules.get("additionalProperties"), dict):
        return f"object of {_type(rules['additionalProperties'])}"
    return str(rules.get("type", "any"))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
    )
