"""The examples of a command: in its docstring they are written, below its `--help` they are shown.

cyclopts leaves a docstring's section "Example:" out.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from cyclopts import App
from docstring_parser import DocstringStyle, parse


def show_examples(app: App) -> None:
    """Give each command its own examples; a group of commands, the first one of each of its own."""
    for _, command in commands(app):
        command.help_epilogue = _shown(examples(command))


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield each command with its words, `app` itself first."""
    yield path, app
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*path, name))


def examples(command: App) -> tuple[str, ...]:
    """Return the examples of a command, one line each."""
    own = _written(command.default_command) if command.default_command else ()
    if own:
        return own
    below = (examples(command[name])[:1] for name in command if not name.startswith("-"))
    return tuple(line for lines in below for line in lines)


def _written(function: object) -> tuple[str, ...]:
    found = parse(inspect.getdoc(function) or "", style=DocstringStyle.GOOGLE).examples
    return tuple(
        line for one in found for line in inspect.cleandoc(one.description or "").split("\n")
    )


def _shown(lines: tuple[str, ...]) -> str:
    return "\n".join(("Examples:", "", "```sh", *lines, "```"))
