"""Flags made from settings Structs: one flag per field, explained by the field's own docstring."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec
from cyclopts import Group, Parameter
from docstring_parser import DocstringStyle, parse

from heliograph.settings import PREFIX


def with_flags(
    *structs: type[msgspec.Struct],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of the Structs' fields, beside its own keyword-only ones.

    A flag that was not given is None; the command hands all of them to `heliograph.settings.load`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        fields = [parameter for struct in structs for parameter in _parameters(struct)]
        signature = inspect.Signature([*own, *fields])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return command

    return decorate


def _parameters(struct: type[msgspec.Struct]) -> list[inspect.Parameter]:
    explained = explanations(struct)
    hints = get_type_hints(struct)
    title = (struct.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    group = Group(title.partition(";")[0])
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                hints[field.name] | None,
                Parameter(help=_help(field, explained), group=group, negative_iterable=()),
            ],
        )
        for field in msgspec.structs.fields(struct)
    ]


def explanations(struct: type[msgspec.Struct]) -> Mapping[str, str]:
    """Return what the docstrings of a Struct, and of those it is made from, say of its fields."""
    said: dict[str, str] = {}
    for one in struct.__mro__:
        if issubclass(one, msgspec.Struct):
            said |= _explanations(one)
    return said


@functools.cache  # several commands share a Struct, and every start pays for it
def _explanations(struct: type[msgspec.Struct]) -> Mapping[str, str]:
    params = parse(struct.__doc__ or "", style=DocstringStyle.GOOGLE).params
    return {p.arg_name: " ".join((p.description or "").split()) for p in params}


def _help(field: msgspec.structs.FieldInfo, explained: Mapping[str, str]) -> str:
    text = explained.get(field.name, "")
    default = "" if field.required else f" [default: {shown(field.default)}]"
    return f"{text}{default} [env: {PREFIX}{field.name.upper()}]"


def shown(default: object) -> str:
    """Return a default as people read it."""
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "none" if default is None or default == "" else str(default)
