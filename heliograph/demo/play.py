"""Plays the scenario on three clusters, with the real programs between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from heliograph.bus import ConnectionSettings, connect
from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.demo.cast import Member, members
from heliograph.demo.observe import Observer
from heliograph.demo.scenario import scenario
from heliograph.demo.step import Step
from heliograph.errors import HeliographError
from heliograph.lab.access import ClusterAccess
from heliograph.lab.clusters import service_cidr
from heliograph.run.joined import Joined, Programs, embedded_bus, run_joined

CLUSTERS = 3
_STEP_S = 15.0
_START_S = 30.0
_NODES_OF_WEST = 2


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step.

    Attributes:
        name: The step's.
        ok: Whether it was seen.
        seconds: From just before the change to the watch event in west; None if not seen.
    """

    name: str
    ok: bool
    seconds: float | None


class NotStarted(HeliographError):
    """The programs were not ready in time."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Two joined clusters and a third one, ready for the scenario.

    Attributes:
        steps: What is to be played.
        observer: What is seen in west.
    """

    steps: tuple[Step, ...]
    observer: Observer


class Running:
    """The programs of the clusters that were joined."""

    def __init__(self, tasks: asyncio.TaskGroup, url: str) -> None:
        self._tasks, self._url = tasks, url
        self._running: list[asyncio.Task[None]] = []

    def join(self, *joining: Member) -> asyncio.Future[Mapping[ClusterId, Programs]]:
        """Start the programs of clusters; return what is told of them once they are connected."""
        started: asyncio.Future[Mapping[ClusterId, Programs]] = asyncio.Future()
        joined = Joined(
            clusters={member.name: member.access for member in joining},
            buses=dict.fromkeys((member.name for member in joining), self._url),
        )
        self._running.append(self._tasks.create_task(run_joined(joined, started.set_result)))
        return started

    def stop(self) -> None:
        """Stop all programs."""
        for task in self._running:
            task.cancel()


@asynccontextmanager
async def stage(clusters: tuple[ClusterAccess, ...]) -> AsyncIterator[Stage]:
    """Join the first two of three clusters, and watch the second one."""
    async with AsyncExitStack() as stack:
        east, west, south = (await stack.enter_async_context(members(clusters))).values()
        await west.kilo.add(*west.nodes[:_NODES_OF_WEST])
        url = await stack.enter_async_context(embedded_bus())
        settings = ConnectionSettings(urls=(url,), name="demo")
        observer = Observer(
            west.name,
            west.people,
            await stack.enter_async_context(connect(settings)),
            watched_cidr=service_cidr(0),
        )
        await stack.enter_async_context(alongside(observer.follow()))
        running = await stack.enter_async_context(_running(url, east, west))
        steps = scenario((east, west, south), observer, lambda: running.join(south))
        yield Stage(steps=steps, observer=observer)


async def play(step: Step, observer: Observer) -> Outcome:
    """Do one step, and wait until it is seen."""
    begun = time.perf_counter()
    await step.do()
    seen = await observer.wait(step.seen, timeout_s=_STEP_S)
    elapsed_s = time.perf_counter() - begun
    seconds = None if seen is None else round(elapsed_s, 6)
    return Outcome(name=step.name, ok=seen is not None, seconds=seconds)


@asynccontextmanager
async def _running(url: str, *joining: Member) -> AsyncIterator[Running]:
    """Run programs beside the body, once all are ready; others may join."""
    async with asyncio.TaskGroup() as tasks:
        running = Running(tasks, url)
        try:
            await _ready(running.join(*joining))
            yield running
        finally:
            running.stop()


async def _ready(started: asyncio.Future[Mapping[ClusterId, Programs]]) -> None:
    try:
        async with asyncio.timeout(_START_S):
            programs = await started
            while not all(one.ready for one in programs.values()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise NotStarted(f"the programs were not ready after {_START_S:.0f} s") from None
