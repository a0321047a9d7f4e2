"""The demo when something is not seen: what a person gets to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from heliograph.cli import demo as command
from heliograph.demo.play import Outcome, Stage
from heliograph.demo.step import Step, View

LOGGED = "what the programs logged"


async def do() -> None:
    structlog.get_logger().info(LOGGED)


STEP = Step(
    name="one",
    done="it is done",
    expected="it is seen",
    do=do,
    seen=lambda: False,
    view=lambda: View(command="get peers", tables=("",)),
)


@pytest.mark.parametrize(("seconds", "code"), [(0.25, 0), (None, 1)])
async def test_logs_are_printed_only_for_a_failure(
    seconds: float | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A demo in which all is seen is not buried in logs; one that fails shows why."""

    @asynccontextmanager
    async def clusters(_: int) -> AsyncIterator[tuple[()]]:
        yield ()

    @asynccontextmanager
    async def stage(_: object) -> AsyncIterator[Stage]:
        yield Stage(steps=(STEP,), observer=None)

    async def play(step: Step, _: object) -> Outcome:
        await step.do()
        return Outcome(name=step.name, ok=seconds is not None, seconds=seconds)

    monkeypatch.setattr(command, "memory_clusters", clusters)
    monkeypatch.setattr(command, "stage", stage)
    monkeypatch.setattr(command, "play", play)

    assert await command.demo(real=False, as_json=False) == code
    captured = capsys.readouterr()
    assert (LOGGED in captured.err) is (seconds is None)
    assert ("not seen: it is seen" in captured.out) is (seconds is None)
    assert "No resources found." in captured.out
