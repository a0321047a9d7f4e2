"""How far a program is with its first sync: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog
from rich.console import Console

from heliograph.bus.background import alongside
from heliograph.health import Condition
from heliograph.progress import Progress, Step
from heliograph.progress.backlog import Backlog
from heliograph.progress.shown import Begin, on_terminal, shown
from heliograph.progress.spaced import Spaced

_LOOK_EVERY_S: Final = 0.5
_LOOK_SELDOM_S: Final = 5.0
_LESS_OFTEN: Final = 1.02
"""A cluster that is dead may be waited for for days: after four minutes it is looked every 5 s."""

_LOG_EVERY_S: Final = 10.0

_log = structlog.get_logger()


class Syncing(Protocol):
    """A program that runs."""

    def conditions(self) -> tuple[Condition, ...]:
        """Return what it takes that it does its work right now."""

    def backlog(self) -> Backlog:
        """Return what it has done and what is left."""

    async def caught_up(self) -> None:
        """Wait until everything is as it should be."""


@contextmanager
def telling() -> Iterator[Begin]:
    """Show progress where the logs are: bars if that is a terminal, else log lines."""
    console = Console(stderr=True, soft_wrap=True)
    if sys.stdout.isatty() and on_terminal(console):
        with shown(console) as begin:
            yield begin
    else:
        yield lambda: Spaced(_logged, _LOG_EVERY_S)


async def first_sync(what: str, running: Syncing, progress: Progress) -> None:
    """Tell how far a program is, until everything is as it should be.

    Args:
        what: The program, for people.
        running: It.
        progress: Whom to tell.
    """
    text = f"first sync of the {what}"
    async with alongside(_look_again(text, running, progress)):
        await running.caught_up()
    backlog = running.backlog()
    whole = backlog.done + backlog.left  # what is left has come since
    progress(Step(text, done=whole, total=whole, unit=backlog.unit))


async def _look_again(text: str, running: Syncing, progress: Progress) -> None:
    delay_s = _LOOK_EVERY_S
    while True:
        await asyncio.sleep(delay_s)
        delay_s = min(_LOOK_SELDOM_S, delay_s * _LESS_OFTEN)
        progress(step_of(text, running.backlog(), running.conditions()))


def step_of(text: str, backlog: Backlog, conditions: tuple[Condition, ...]) -> Step:
    """Return how far a program is that has not caught up; what it waits for if nothing is left."""
    if backlog.left:
        return Step(text, done=backlog.done, total=backlog.done + backlog.left, unit=backlog.unit)
    failing = next((one.name for one in conditions if not one.holds), "")
    return Step(text, done=backlog.done, unit=backlog.unit, waits_for=failing)


def _logged(step: Step) -> None:
    left = None if step.total is None else step.total - (step.done or 0)
    _log.info(
        "first sync finished" if step.complete else "first sync going on",
        what=step.text,
        done=step.done,
        left=left,
        unit=step.unit,
        waits_for=step.waits_for,
    )
