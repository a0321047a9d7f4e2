"""Shells complete what a person begins to type."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliograph.cli.app import run

PATIENCE_S = 30


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, screen: int) -> None:
        self._screen, self._seen = screen, ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._screen, keys.encode())

    def see(self, text: str) -> None:
        """Wait until the shell has written a text."""
        until_s = time.monotonic() + PATIENCE_S
        while text not in self._seen:
            left_s = until_s - time.monotonic()
            assert left_s > 0, self._seen
            if select.select([self._screen], [], [], left_s)[0]:
                self._seen += os.read(self._screen, 4096).decode(errors="replace")
        self._seen = self._seen.partition(text)[2]


@contextmanager
def bash(home: Path) -> Iterator[Terminal]:
    """Run bash as a person does, with nothing of this machine's."""
    program = shutil.which("bash")
    if program is None:
        pytest.skip("there is no bash here")
    screen, keyboard = pty.openpty()
    command = [program, "--norc", "--noprofile", "-i"]
    environment = {"PS1": "$ ", "HOME": str(home), "TERM": "dumb", "INPUTRC": os.devnull}
    shell = subprocess.Popen(
        command, stdin=keyboard, stdout=keyboard, stderr=keyboard, env=environment
    )
    try:
        yield Terminal(screen)
    finally:
        shell.kill()
        shell.wait()
        os.close(screen)
        os.close(keyboard)


def test_bash_completes_commands_and_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ev` and a tab are `events`; so with the names of flags."""
    assert run(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out, encoding="utf-8")

    with bash(tmp_path) as terminal:
        terminal.type("heliograph() { echo ran \"<$*>\"; }; source ~/script; echo rea''dy\n")
        terminal.see("ready")
        terminal.type("heliograph ev\t--fol\t\n")
        terminal.see("ran <events --follow>")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that knows the commands."""
    assert run(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "rotate-keys" in out
    assert {"zsh": "#compdef heliograph", "fish": "complete -c heliograph"}[shell] in out


def test_an_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence names those that there are."""
    assert run(["completion", "csh"]) == 2
    assert '"bash"' in capsys.readouterr().err
