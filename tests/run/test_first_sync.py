"""How far a program is with its first sync."""

from __future__ import annotations

import asyncio

import structlog

from heliograph.health import Condition
from heliograph.progress import Step
from heliograph.progress.backlog import Backlog
from heliograph.run.first_sync import first_sync, step_of, telling
from tests.support.virtual_time import run_virtually

HOLDS = (Condition(name="bus"), Condition(name="import east"))
FAILS = (Condition(name="bus"), Condition(name="import east", fails="nothing heard"))


class Program:
    """Mirrors nine Services a second, once it has heard of them."""

    def __init__(self, services: int) -> None:
        self._services, self._done = services, 0

    def conditions(self) -> tuple[Condition, ...]:
        """Return what it takes."""
        return HOLDS

    def backlog(self) -> Backlog:
        """Return what is done and left."""
        return Backlog(self._done, self._services - self._done, "Services")

    async def caught_up(self) -> None:
        """Do the work."""
        while self._done < self._services:
            await asyncio.sleep(0.11)
            self._done += 1


def test_what_is_left_is_counted() -> None:
    """All that is known to be wanted is the total, which may grow."""
    step = step_of("first sync", Backlog(3, 7, "Services"), HOLDS)

    assert step == Step("first sync", done=3, total=10, unit="Services")


def test_a_program_that_can_do_nothing_says_what_it_waits_for() -> None:
    """The condition is named as /readyz names it; its reason, which changes, is not repeated."""
    step = step_of("first sync", Backlog(3, 0, "Services"), FAILS)

    assert str(step) == "first sync: 3 Services (waits for import east)"


def test_it_is_told_until_everything_is_as_it_should_be() -> None:
    """Counts come while it works, and the end once, with all that was done."""
    told: list[Step] = []
    run_virtually(first_sync("reflector of west", Program(12), told.append))

    assert [str(step).removeprefix("first sync of the reflector of west: ") for step in told] == [
        "4 of 12 Services",
        "9 of 12 Services",
        "12 Services",
    ]


def test_logs_have_it_where_there_is_no_terminal() -> None:
    """A pod's log says how far it is now and then, and when it is finished."""
    with structlog.testing.capture_logs() as lines, telling() as begin:
        run_virtually(first_sync("reflector of west", Program(300), begin()))

    assert [(line["event"], line["done"], line["left"]) for line in lines] == [
        ("first sync going on", 4, 296),
        ("first sync finished", 300, 0),
    ]
