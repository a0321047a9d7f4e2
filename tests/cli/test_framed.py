"""The frame around what nobody may overlook."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from heliograph.cli.framed import framed


def test_elsewhere_than_on_a_terminal_it_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """Characters that every log can hold, no colours, and long sentences in several lines."""
    framed("cluster north is refused", "word " * 40 + "end.", "[red]is no mark-up[/red]")

    captured = capsys.readouterr()
    assert captured.out == ""
    first, *body, last = captured.err.splitlines()
    assert first.startswith("+- cluster north is refused -")
    assert last == "+" + "-" * (len(first) - 2) + "+"
    assert len(body) > 2
    assert body[-1].startswith("| [red]is no mark-up[/red] ")
    assert captured.err.isascii()


def test_on_a_terminal_it_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With lines, and in red unless people want no colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    framed("refused", "why")
    assert "\x1b[1;31m┏━" in capsys.readouterr().err

    monkeypatch.setenv("NO_COLOR", "1")
    framed("refused", "why")
    drawn = capsys.readouterr().err
    assert "┏━" in drawn
    assert "31m" not in drawn


def test_it_goes_where_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """On a console that lets long lines be, it is wrapped all the same."""
    given = io.StringIO()
    framed("refused", "word " * 60, console=Console(file=given, soft_wrap=True, width=80))

    assert capsys.readouterr() == ("", "")
    assert len(given.getvalue().splitlines()) > 4
    assert {len(line) for line in given.getvalue().splitlines()} == {80}
