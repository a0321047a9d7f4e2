"""Settings: from flags, then the environment, into one frozen Struct; a typo is an error.

HELIOGRAPH_<NAME> in upper case sets the field of that name. Read once, in the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar, get_origin

import msgspec

from heliograph.errors import InputError

PREFIX: Final = "HELIOGRAPH_"

S = TypeVar("S", bound=msgspec.Struct)


def load(
    struct: type[S],
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    known_elsewhere: Iterable[str] = (),
) -> S:
    """Return the settings of one program.

    Args:
        struct: The frozen Struct; its field names are the settings' names.
        environ: Environment variables; others than HELIOGRAPH_* are not looked at.
        flags: By field name; None means not given. Flags win over the environment.
        known_elsewhere: Names of settings of other programs, which may share the environment.

    Raises:
        InputError: A misspelt name, a missing or unusable value; names it and says what to do.
    """
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    lists = {name for name, field in fields.items() if get_origin(field.type) is tuple}
    given: dict[str, Any] = {
        name: _split(value) if name in lists else value
        for name, value in _from_environment(environ, set(fields), set(known_elsewhere)).items()
    }
    given |= {name: value for name, value in flags.items() if value is not None}
    for name, field in fields.items():
        if field.required and name not in given:
            message = f"setting {name!r} is missing: give --{_flag(name)} or {PREFIX}{name.upper()}"
            raise InputError(message)
    try:
        return msgspec.convert(given, type=struct, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise InputError(_explain(error)) from error


def setting_names(*structs: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of all settings of the given Structs."""
    return frozenset(f.name for struct in structs for f in msgspec.structs.fields(struct))


def _path(kind: type, value: object) -> object:
    """Return a path for a text: the one type of our settings that msgspec does not know."""
    if kind is Path:
        return Path(str(value)).expanduser()
    raise NotImplementedError


def _from_environment(
    environ: Mapping[str, str], fields: set[str], elsewhere: set[str]
) -> dict[str, str]:
    given: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in fields:
            given[name] = value
        elif name not in elsewhere:
            raise InputError(_unknown(variable, fields | elsewhere))
    return given


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _unknown(variable: str, known: set[str]) -> str:
    name = variable.removeprefix(PREFIX).lower()
    near = get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else "; see --help for all of them"
    return f"environment variable {variable} is no setting of Heliograph{hint}"


def _explain(error: msgspec.ValidationError) -> str:
    why, _, where = str(error).partition(" - at `$.")
    name = where.rstrip("`").partition("[")[0].partition(".")[0]
    if not name:
        return f"a setting cannot be used: {why}"
    return f"setting {name!r} (--{_flag(name)}, {PREFIX}{name.upper()}) cannot be used: {why}"


def _flag(name: str) -> str:
    return name.replace("_", "-")
