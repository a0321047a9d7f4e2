"""Plays the scenario on two clusters, with the real programs between them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from heliograph.bus import ConnectionSettings, connect
from heliograph.contract.names import ClusterId
from heliograph.demo.observe import Observer
from heliograph.demo.scenario import Scenario, Step
from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.run.joined import Joined, Programs, embedded_bus, run_joined

_STEP_S = 15.0
_START_S = 30.0
_EAST, _WEST = ClusterId("east"), ClusterId("west")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step.

    Attributes:
        name: The step's.
        ok: Whether it was seen.
        seconds: From just before the change in east to the watch event in west; None if not seen.
    """

    name: str
    ok: bool
    seconds: float | None


class NotStarted(HeliographError):
    """The programs were not ready in time."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Two joined clusters, ready for the scenario.

    Attributes:
        scenario: The steps.
        observer: What is seen in west.
    """

    scenario: Scenario
    observer: Observer


@asynccontextmanager
async def stage(clusters: tuple[ClusterAccess, ...]) -> AsyncIterator[Stage]:
    """Join two clusters, and watch the second one."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-demo-"))
        path = Path(folder) / "kubeconfig"
        write_kubeconfig(path, clusters)
        access = {
            name: Kubeconfig(path=path, context=given.name)
            for name, given in zip((_EAST, _WEST), clusters, strict=True)
        }
        url = await stack.enter_async_context(embedded_bus())
        people = [
            await stack.enter_async_context(KubeClient(name, access[name], field_manager="kubectl"))
            for name in (_EAST, _WEST)
        ]
        settings = ConnectionSettings(urls=(url,), name="demo")
        observer = Observer(_WEST, people[1], await stack.enter_async_context(connect(settings)))
        joined = Joined(clusters=access, buses=dict.fromkeys(access, url))
        async with _running(joined, observer):
            yield Stage(scenario=Scenario(people[0], people[1], observer), observer=observer)


async def play(step: Step, observer: Observer) -> Outcome:
    """Do one step, and wait until it is seen."""
    begun = time.perf_counter()
    await step.do()
    seen = await observer.wait(step.seen, timeout_s=_STEP_S)
    elapsed_s = time.perf_counter() - begun
    seconds = None if seen is None else round(elapsed_s, 6)
    return Outcome(name=step.name, ok=seen is not None, seconds=seconds)


@asynccontextmanager
async def _running(joined: Joined, observer: Observer) -> AsyncIterator[None]:
    """Run the programs and the observer beside the body, once all are ready."""
    started: asyncio.Future[Mapping[ClusterId, Programs]] = asyncio.Future()
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(run_joined(joined, started.set_result)),
            tasks.create_task(observer.follow()),
        ]
        try:
            await _ready(started)
            yield
        finally:
            for task in running:
                task.cancel()


async def _ready(started: asyncio.Future[Mapping[ClusterId, Programs]]) -> None:
    try:
        async with asyncio.timeout(_START_S):
            programs = await started
            while not all(one.ready for one in programs.values()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise NotStarted(f"the programs were not ready after {_START_S:.0f} s") from None
