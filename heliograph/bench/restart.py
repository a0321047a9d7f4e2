"""A restart over mirrors that are as they should be: how long, and that nothing is written."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from typing import Final

from heliograph import telemetry
from heliograph.bench.figures import Restart, Walls, ratio
from heliograph.bench.stage import NAMESPACE, Progress, Stage, programs, service, stage
from heliograph.bus import ConnectionSettings, connect
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES
from heliograph.marks import EXPORT_LABEL
from heliograph.metrics import Metrics
from services.reflector.consume import ImportBus
from services.reflector.reflector import Reflector
from services.reflector.settings import ReflectorSettings
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher

_AT_ONCE: Final = 64
_RUNS: Final = 5


async def restart(services: int, progress: Progress) -> Restart:
    """Let so many mirrors be made; then start watcher and reflector again, several times."""
    async with stage(progress) as staged:
        with programs(staged):
            progress(f"{services} mirrors are made")
            await _make(staged, services)
        floors, ours, writes = [], [], 0
        for number in range(_RUNS):
            progress(f"restart {number + 1} of {_RUNS}")
            floors.append(await _list_both(staged))
            elapsed_s, written = await _restart(staged)
            ours.append(elapsed_s)
            writes += written
        ours_s, floor_s = statistics.median(ours), statistics.median(floors)
        return Restart(
            ours=Walls(wall=round(ours_s, 4)),
            floor=Walls(wall=round(floor_s, 4)),
            ratio=ratio(ours_s, floor_s),
            writes=writes,
            process_start_s=round(_process_start_s(), 3),
            services=services,
        )


async def _make(staged: Stage, services: int) -> None:
    names = [f"web-{number}" for number in range(services)]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def create(name: str) -> None:
        async with slots:
            await staged.east.create(SERVICES, service(name, {EXPORT_LABEL: "true"}))

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(create(name))
    await staged.watch.until(lambda: all(staged.watch.seen(name, 80) for name in names))


async def _list_both(staged: Stage) -> float:
    """List what both programs list, at the same time as they do; return the seconds."""
    begun = time.perf_counter()
    await asyncio.gather(
        *(
            client.list(resource, Selection(namespace=NAMESPACE))
            for client in (staged.east, staged.west)
            for resource in (SERVICES, ENDPOINT_SLICES)
        )
    )
    return time.perf_counter() - begun


async def _restart(staged: Stage) -> tuple[float, int]:
    """Run new programs until both have caught up; return the seconds, and how much was written."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(KubeClient(name, client.kubeconfig))
            for name, client in (("east", staged.east), ("west", staged.west))
        ]
        settings = ConnectionSettings(urls=(staged.bus,), name="bench")
        bus = await stack.enter_async_context(connect(settings))
        metrics, off = Metrics("reflector", "west"), telemetry.disabled()
        watcher = Watcher(
            WatcherSettings(cluster="east"),
            clients[0],
            bus,
            telemetry=off,
            metrics=Metrics("watcher", "east"),
        )
        reflector = Reflector(
            ReflectorSettings(cluster="west", import_from=("east",)),
            clients[1],
            home=bus,
            buses=[ImportBus(connection=bus)],
            telemetry=off,
            metrics=metrics,
        )
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(watcher.run()), tasks.create_task(reflector.run())]
            await asyncio.gather(watcher.caught_up(), reflector.caught_up())
            elapsed_s = time.perf_counter() - begun
            for task in running:
                task.cancel()
    return elapsed_s, _writes(metrics)


def _writes(metrics: Metrics) -> int:
    samples = (s for metric in metrics.writes.collect() for s in metric.samples)
    return int(sum(s.value for s in samples if s.name.endswith("_total")))


def _process_start_s() -> float:
    """Return how long a program needs from its start until its first request, nearly."""
    command = [sys.executable, "-c", "import heliograph.run.programs"]
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begun
