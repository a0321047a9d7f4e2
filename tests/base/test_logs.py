"""Logs are JSON lines for machines, readable lines for people, and quiet about libraries."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from heliograph import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    yield
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """Message, level, time in UTC and fields, on standard output, whatever the text holds."""
    logs.configure(human=False)
    structlog.get_logger().warning("mirror deferred", importing="west", error="line\nbreak: Ü")

    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "mirror deferred",
        "level": "warning",
        "importing": "west",
        "error": "line\nbreak: Ü",
    }


def test_an_exception_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback is a field, so that no line of it is taken for a log line."""
    logs.configure(human=False)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("bug")

    (line,) = lines(capsys)
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("level", "events"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_nothing_below_the_level(
    level: logs.Level, events: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A level hides what is less serious."""
    logs.configure(level, human=False)
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")
    assert len(lines(capsys)) == events


def test_people_read_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays free for what a command prints; tracebacks are readable too."""
    logs.configure(human=True)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("service not exported", reason="ExternalName")

    said = capsys.readouterr()
    assert said.out == ""
    assert "service not exported" in said.err
    assert "reason=ExternalName" in said.err
    assert "ZeroDivisionError" in said.err


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_readable_lines(
    terminal: bool,  # noqa: FBT001 - a case
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless told otherwise, JSON goes to whatever is no terminal."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    logs.configure()
    structlog.get_logger().info("hello")

    said = capsys.readouterr()
    assert bool(said.err) == terminal
    assert bool(said.out) != terminal


def test_libraries_are_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What a library logs below "critical" reaches us as an error in any case."""
    logs.configure(human=False)
    logging.getLogger("nats").error("connection lost")
    assert not caplog.records


def test_lines_can_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """With a stream of its own, nothing goes to standard output or standard error."""
    kept = io.StringIO()
    logs.configure(human=True, to=kept)
    structlog.get_logger().info("peers applied", importing="west")

    assert "peers applied" in kept.getvalue()
    assert "\x1b" not in kept.getvalue()
    assert capsys.readouterr() == ("", "")
