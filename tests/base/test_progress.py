"""How far long work is: words, lines for files, bars for terminals."""

from __future__ import annotations

import io

import pytest
import structlog
from rich.console import Console

from heliograph import logs
from heliograph.progress import Step
from heliograph.progress.shown import shown
from heliograph.progress.spaced import Spaced

ERASE_LINE = "\x1b[2K"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step("starting"), "starting"),
        (Step("fetching", done=3, unit="modules"), "fetching: 3 modules"),
        (
            Step("building", done=812, total=2400, unit="packages"),
            "building: 812 of 2,400 packages",
        ),
        (Step("building", done=2400, total=2400, unit="packages"), "building: 2,400 packages"),
        (Step("building", done=0, total=1, unit="packages"), "building: 0 of 1 package"),
        (Step("fetching", done=1, unit="modules"), "fetching: 1 module"),
        (Step("syncing", done=0, waits_for="bus"), "syncing: 0 (waits for bus)"),
    ],
)
def test_a_step_in_words(step: Step, words: str) -> None:
    """What is not known is left out."""
    assert str(step) == words


def test_counts_are_told_rarely_and_news_at_once() -> None:
    """Of thousands of counts a few are let through; each new text and each end is."""
    told: list[Step] = []
    now = [0.0]
    progress = Spaced(told.append, 10.0, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        progress(Step("building", done=second, total=25))
    progress(Step("building", done=25, total=25))
    progress(Step("building", done=25, total=25))
    progress(Step("starting"))

    assert [step.done for step in told] == [0, 10, 20, 25, None]


def test_the_same_again_is_not_told() -> None:
    """Work that waits for days is silent."""
    told: list[Step] = []
    now = [0.0]
    progress = Spaced(told.append, 10.0, clock=lambda: now[0])
    for day in range(3):
        now[0] = day * 86_400.0
        progress(Step("syncing", done=0, waits_for="bus"))

    assert len(told) == 1


def test_lines_where_there_is_no_terminal() -> None:
    """A file has plain lines, without colours, bars or brackets taken for markup."""
    console = Console(file=io.StringIO(), width=40)
    with shown(console) as begin:
        progress = begin()
        progress(Step("starting [west] " + "x" * 60))
        progress(Step("building", done=0, total=2, unit="packages"))
        progress(Step("building", done=1, total=2, unit="packages"))
        progress(Step("building", done=2, total=2, unit="packages"))

    assert written(console).splitlines() == [
        "starting [west] " + "x" * 60,
        "building: 0 of 2 packages",
        "building: 2 packages, 0 s",
    ]


def test_a_terminal_that_cannot_move_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's shell (TERM=dumb) gets no bars."""
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=io.StringIO(), force_terminal=True)
    with shown(console) as begin:
        begin()(Step("building", done=1, total=2, unit="packages"))

    assert written(console) == "building: 1 of 2 packages, 0 s\n"


def test_a_terminal_has_a_bar_and_keeps_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar is drawn over and over; what remains is a line for each thing done."""
    console = terminal(monkeypatch)
    with shown(console, quiet=True) as begin:
        progress = begin()
        progress(Step("building", done=1, total=2, unit="packages"))
        drawn = written(console)
        progress(Step("building", done=2, total=2, unit="packages"))
        progress(Step("starting"))

    assert "building ━" in drawn
    assert "1 of 2 packages" in drawn
    _, line, after = written(console).partition("building: 2 packages, 0 s\n")
    assert line
    assert "building" not in after
    assert after.endswith(ERASE_LINE)


def test_several_bars_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of work has a bar of its own until it is complete."""
    console = terminal(monkeypatch)
    with shown(console, quiet=True) as begin:
        one, two = begin(), begin()
        one(Step("east", done=1, total=9))
        two(Step("west", done=2, total=2))
        one(Step("east", done=2, total=9))
        drawn = written(console).rpartition(ERASE_LINE)[2]

    assert "2 of 9" in drawn
    assert "west" not in drawn


def test_logs_stand_above_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log line during the work does not tear the bar: it is printed above it."""
    monkeypatch.setenv("TERM", "xterm")
    logs.configure(human=True)
    console = Console(stderr=True, force_terminal=True, width=100)
    with shown(console, quiet=True) as begin:
        begin()(Step("building", done=1, total=2, unit="packages"))
        structlog.get_logger().info("cluster is back")
    logs.configure()

    before, _, after = capsys.readouterr().err.partition("cluster is back")
    assert ERASE_LINE in before.rpartition("building")[2]
    assert "building" in after


def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """Return a terminal that is a text."""
    monkeypatch.setenv("TERM", "xterm")
    return Console(file=io.StringIO(), force_terminal=True, width=100, no_color=True)


def written(console: Console) -> str:
    """Return all that was written there."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
