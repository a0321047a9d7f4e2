"""What people see who ask for help."""

from __future__ import annotations

import shlex

import pytest

from heliograph.cli.app import app, run
from heliograph.cli.examples import commands, examples

COMMANDS = {" ".join(("heliograph", *path)): command for path, command in commands(app)}


def test_the_commands_are_found() -> None:
    """Those of groups too."""
    assert {"heliograph", "heliograph events", "heliograph plan peers"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command's help ends with examples of it, as the docstring has them."""
    lines = examples(COMMANDS[name])
    assert lines
    assert any(name in line for line in lines)

    assert run([*name.split()[1:], "--help"]) == 0
    _, found, shown = capsys.readouterr().out.partition("Examples:")
    assert found
    assert shown.split() == shlex.split(" ".join(lines), posix=False)
