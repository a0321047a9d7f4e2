"""A restart over mirrors that are as they should be: how long, and that nothing is written."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import msgspec

from heliograph.bench.figures import Restart, Walls, ratio
from heliograph.bench.restarted import Measured
from heliograph.bench.stage import Stage, create_at_once, programs, stage
from heliograph.marks import EXPORT_LABEL
from heliograph.progress import Progress, Step

_RUNS: Final = 5


async def restart(services: int, progress: Progress) -> Restart:
    """Let so many mirrors be made; then start watcher and reflector again, several times."""
    async with stage(progress) as staged:
        with programs(staged):
            progress(Step(f"making {services:,} mirrors"))
            await _make(staged, services)
        floors, ours, writes = [], [], 0
        for number in range(_RUNS):
            progress(Step("restarting", done=number, total=_RUNS, unit="times"))
            (floor,) = await _measure(staged, "floor")
            floors.append(floor.seconds)
            both = await _measure(staged, "watcher", "reflector")
            ours.append(max(one.seconds for one in both))
            writes += sum(one.writes for one in both)
        progress(Step("restarting", done=_RUNS, total=_RUNS, unit="times"))
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
    await create_at_once(staged, names, {EXPORT_LABEL: "true"})
    await staged.watch.until(lambda: all(staged.watch.seen(name, 80) for name in names))


@asynccontextmanager
async def _waiting(staged: Stage, what: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process that measures, and let it load."""
    command = (sys.executable, "-m", "heliograph.bench.restarted", what)
    process = await asyncio.create_subprocess_exec(
        *(*command, str(staged.kubeconfig), staged.bus),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        await process.stdout.readline()
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _measure(staged: Stage, *programs: str) -> list[Measured]:
    """Let so many processes begin at once; return what they measured."""
    async with AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(_waiting(staged, what)) for what in programs]
        outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in waiting))
    return [msgspec.json.decode(output, type=Measured) for output, _ in outputs]


def _process_start_s() -> float:
    """Return how long a program needs from its start until its first request, nearly."""
    command = [sys.executable, "-c", "import heliograph.run.programs"]
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begun
