"""Shows a person how far long work is: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from heliograph.progress.spaced import Spaced
from heliograph.progress.step import Progress, Step

Begin = Callable[[], Progress]
"""Begins one line of work; several may go on at the same time."""

_LINE_EVERY_S: Final = 10.0
_DRAWN_PER_S: Final = 4.0


def on_terminal(console: Console) -> bool:
    """Tell whether bars can be drawn there: not into files, nor on a terminal that cannot move."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def shown(console: Console, *, quiet: bool = False) -> Iterator[Begin]:
    """Show what is told inside; on a terminal, what was done stays as a line.

    Args:
        console: Where.
        quiet: Draw bars only when something is told: nothing else may run while it is measured.
    """
    if on_terminal(console):
        with _bars(console, quiet=quiet) as bars:
            yield lambda: _Bar(bars)
    else:
        yield lambda: Spaced(_Lines(console), _LINE_EVERY_S)


def _bars(console: Console, *, quiet: bool) -> Bars:
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        auto_refresh=not quiet,
        refresh_per_second=_DRAWN_PER_S,
        # What goes into a file or a pipe stays there.
        redirect_stdout=sys.stdout.isatty(),
    )


class _Lines:
    """Each step as a line of text."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text, self._begun = "", 0.0

    def __call__(self, step: Step) -> None:
        """Print a step; how long it has taken, once it is counted."""
        now = time.monotonic()
        if step.text != self._text:
            self._text, self._begun = step.text, now
        _print(self._console, step, now - self._begun)


class _Bar:
    """One bar, of what is being done. What was done before stands above it."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._step, self._begun = Step(""), 0.0

    def __call__(self, step: Step) -> None:
        """Draw a step."""
        if step.text != self._step.text:
            self._end()
        self._step = step
        if self._task is None:
            self._begun = time.monotonic()
            self._task = self._bars.add_task(escape(step.text), total=step.total, counted="")
        words = f"waits for {step.waits_for}" if step.waits_for else step.counted
        self._bars.update(
            self._task, total=step.total, completed=step.done or 0, counted=escape(words)
        )
        if step.complete:
            self._end()
        self._bars.refresh()

    def _end(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
            self._bars.refresh()
            _print(self._bars.console, self._step, time.monotonic() - self._begun)


def _print(console: Console, step: Step, elapsed_s: float) -> None:
    took = f", {elapsed_s:.0f} s" if step.done else ""
    console.print(f"{step}{took}", markup=False, highlight=False, soft_wrap=True)
