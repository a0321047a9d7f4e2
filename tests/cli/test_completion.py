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


def installed(shell: str) -> str:
    """Return where a shell is; skip the test where it is not, but not in CI."""
    program = shutil.which(shell)
    if program is None:
        sentence = f"there is no {shell} here; `make packages` installs it on Debian, as root"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    return program


@contextmanager
def running(home: Path, *command: str) -> Iterator[Terminal]:
    """Run a shell as a person does, with nothing of this machine's."""
    screen, keyboard = pty.openpty()
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

    with running(tmp_path, installed("bash"), "--norc", "--noprofile", "-i") as terminal:
        terminal.type("heliograph() { echo ran \"<$*>\"; }; source ~/script; echo rea''dy\n")
        terminal.see("ready")
        terminal.type("heliograph ev\t--fol\t\n")
        terminal.see("ran <events --follow>")


@pytest.mark.parametrize(
    "ready",
    [
        "autoload -Uz compinit; compinit -D; source ~/_heliograph",
        "fpath=(~ $fpath); autoload -Uz compinit; compinit -D",
    ],
    ids=["sourced", "among zsh's own"],
)
def test_zsh_completes_commands_and_flags(
    ready: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same, whether the script is sourced or lies in a folder of such functions."""
    assert run(["completion", "zsh"]) == 0
    (tmp_path / "_heliograph").write_text(capsys.readouterr().out, encoding="utf-8")

    with running(tmp_path, installed("zsh"), "-f", "-i") as terminal:
        terminal.type(f"heliograph() {{ echo ran \"<$*>\"; }}; {ready}; echo rea''dy\n")
        terminal.see("ready")
        terminal.type("heliograph ev\t--fol\t\n")
        terminal.see("ran <events --follow>")


def test_fish_completes_commands_and_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As fish itself says what it would offer, with what it is."""
    assert run(["completion", "fish"]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")

    asked = f"source {script}; complete -C 'heliograph ev'; complete -C 'heliograph events --fol'"
    command = [installed("fish"), "--no-config", "-c", asked]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)}
    )
    offered = [line.partition("\t")[0] for line in said.stdout.splitlines()]
    assert offered == ["events", "--follow"]


def test_an_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence names those that there are."""
    assert run(["completion", "csh"]) == 2
    assert '"bash"' in capsys.readouterr().err
