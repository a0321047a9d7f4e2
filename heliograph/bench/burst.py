"""Many Services exported at once: until all are visible, and how long a live change waits."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from heliograph.bench.figures import Burst, Walls, ratio
from heliograph.bench.propagation import LABELS
from heliograph.bench.stage import NAMESPACE, Progress, Stage, programs, relay, service, stage
from heliograph.kube.objects import SERVICES
from heliograph.marks import EXPORT_LABEL

_AT_ONCE: Final = 64
_LIVE: Final = "live"


async def burst(services: int, progress: Progress) -> Burst:
    """Export so many Services at once with the floor's relay, then with Heliograph."""
    async with stage(progress) as staged:
        with relay(staged):
            progress(f"a burst of {services} Services through the minimal relay")
            floor_s = await _burst(staged, "floor", services)
        with programs(staged):
            await staged.east.create(SERVICES, service(_LIVE, {EXPORT_LABEL: "true"}))
            await staged.watch.until(lambda: staged.watch.seen(_LIVE, 80))
            progress(f"a burst of {services} Services through Heliograph")
            async with asyncio.TaskGroup() as tasks:
                live = tasks.create_task(_live_change(staged, services // 2))
                ours_s = await _burst(staged, "ours", services)
    return Burst(
        ours=Walls(wall=round(ours_s, 3)),
        floor=Walls(wall=round(floor_s, 3)),
        ratio=ratio(ours_s, floor_s),
        live_change_s=round(live.result(), 3),
        services=services,
    )


async def _burst(staged: Stage, side: str, services: int) -> float:
    names = [f"burst-{side}-{number}" for number in range(services)]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def create(name: str) -> None:
        async with slots:
            await staged.east.create(SERVICES, service(name, {LABELS[side]: "true"}))

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(create(name))
    waiting = set(names)

    def all_seen() -> bool:
        waiting.difference_update([name for name in waiting if staged.watch.seen(name, 80)])
        return not waiting

    await staged.watch.until(all_seen)
    return time.perf_counter() - begun


async def _live_change(staged: Stage, after: int) -> float:
    """Change the live Service once half of the burst is visible."""
    await staged.watch.until(lambda: staged.watch.seen(f"burst-ours-{after}", 80))
    begun = time.perf_counter()
    patch = {"spec": {"ports": [{"name": "http", "port": 8080}]}}
    await staged.east.merge_patch(SERVICES, NAMESPACE, _LIVE, patch)
    await staged.watch.until(lambda: staged.watch.seen(_LIVE, 8080))
    return time.perf_counter() - begun
