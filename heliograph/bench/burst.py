"""Many Services exported at once: until all are visible, and how long a live change waits."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from heliograph.bench.figures import Burst, Walls, ratio
from heliograph.bench.propagation import LABELS
from heliograph.bench.stage import (
    NAMESPACE,
    Stage,
    create_at_once,
    programs,
    relay,
    service,
    stage,
)
from heliograph.kube.objects import SERVICES
from heliograph.marks import EXPORT_LABEL
from heliograph.progress import Progress, Step

_LIVE: Final = "live"


async def burst(services: int, rounds: int, progress: Progress) -> Burst:
    """Export so many Services at once, by turns with the floor's relay and with Heliograph."""
    floors, ours, live = [], [], []
    text = f"{services:,} Services through the minimal relay, then through Heliograph"
    async with stage(progress) as staged:
        for number in range(rounds):
            progress(Step(text, done=number, total=rounds, unit="rounds"))
            with relay(staged, f"round-{number}"):
                floors.append(await _burst(staged, "floor", number, services))
            with programs(staged):
                await _prepare_live(staged, number)
                async with asyncio.TaskGroup() as tasks:
                    change = tasks.create_task(_live_change(staged, number, services // 2))
                    ours.append(await _burst(staged, "ours", number, services))
                live.append(change.result())
        progress(Step(text, done=rounds, total=rounds, unit="rounds"))
    ours_s, floor_s = statistics.median(ours), statistics.median(floors)
    return Burst(
        ours=Walls(wall=round(ours_s, 3)),
        floor=Walls(wall=round(floor_s, 3)),
        ratio=ratio(ours_s, floor_s),
        live_change_s=round(max(live), 3),
        services=services,
        rounds=rounds,
    )


async def _prepare_live(staged: Stage, number: int) -> None:
    """Let the Service stand that is changed in the middle of the burst."""
    live = f"{_LIVE}-{number}"
    await staged.east.create(SERVICES, service(live, {EXPORT_LABEL: "true"}))
    await staged.watch.until(lambda: staged.watch.seen(live, 80))


async def _burst(staged: Stage, side: str, number: int, services: int) -> float:
    names = [_name(side, number, index) for index in range(services)]
    labels = {LABELS[side]: "true" if side == "ours" else f"round-{number}"}
    begun = time.perf_counter()
    await create_at_once(staged, names, labels)
    waiting = set(names)

    def all_seen() -> bool:
        waiting.difference_update([name for name in waiting if staged.watch.seen(name, 80)])
        return not waiting

    await staged.watch.until(all_seen)
    return time.perf_counter() - begun


async def _live_change(staged: Stage, number: int, after: int) -> float:
    """Change the live Service once half of the burst is visible."""
    half, live = _name("ours", number, after), f"{_LIVE}-{number}"
    await staged.watch.until(lambda: staged.watch.seen(half, 80))
    begun = time.perf_counter()
    patch = {"spec": {"ports": [{"name": "http", "port": 8080}]}}
    await staged.east.merge_patch(SERVICES, NAMESPACE, live, patch)
    await staged.watch.until(lambda: staged.watch.seen(live, 8080))
    return time.perf_counter() - begun


def _name(side: str, number: int, index: int) -> str:
    return f"burst-{side}-{number}-{index}"
