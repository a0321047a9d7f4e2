"""How long one change needs between idle clusters; ours and the floor's by turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from heliograph.bench.figures import Propagation, compare
from heliograph.bench.relay import LABEL
from heliograph.bench.stage import NAMESPACE, Stage, programs, relay, service, stage
from heliograph.kube.objects import SERVICES
from heliograph.marks import EXPORT_LABEL
from heliograph.progress import Progress, Step

_WARM_UP: Final = 10
_PAUSE_S: Final = 0.15
"""Longer than the reflector takes news to be fresh: what is measured is a change after silence."""
LABELS: Final = {"ours": EXPORT_LABEL, "floor": LABEL}


async def propagation(samples: int, progress: Progress) -> Propagation:
    """Measure so many new Services and so many changes on either side."""
    async with stage(progress) as staged:
        with programs(staged), relay(staged):
            progress(Step("warming up"))
            await _round(staged, "warm", _WARM_UP, lambda _: None)
            text = f"{samples} new Services and {samples} changes on either side, by turns"

            def told(done: int) -> None:
                progress(Step(text, done=done, total=2 * samples, unit="pairs"))

            new, changed = await _round(staged, "web", samples, told)
    return Propagation(
        new=compare(new["ours"], new["floor"]),
        changed=compare(changed["ours"], changed["floor"]),
        samples=samples,
    )


async def _round(
    staged: Stage, prefix: str, samples: int, told: Callable[[int], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    new: dict[str, list[float]] = {side: [] for side in LABELS}
    changed: dict[str, list[float]] = {side: [] for side in LABELS}
    for number in range(samples):
        for side, label in LABELS.items():
            name = f"{prefix}-{side}-{number}"
            new[side].append(await _create(staged, name, label))
            await asyncio.sleep(_PAUSE_S)
        told(number + 1)
    for number in range(samples):
        for side in LABELS:
            changed[side].append(await _change(staged, f"{prefix}-{side}-{number}"))
            await asyncio.sleep(_PAUSE_S)
        told(samples + number + 1)
    return new, changed


async def _create(staged: Stage, name: str, label: str) -> float:
    begun = time.perf_counter()
    await staged.east.create(SERVICES, service(name, {label: "true"}))
    await staged.watch.until(lambda: staged.watch.seen(name, 80))
    return time.perf_counter() - begun


async def _change(staged: Stage, name: str) -> float:
    patch = {"spec": {"ports": [{"name": "http", "port": 8080}]}}
    begun = time.perf_counter()
    await staged.east.merge_patch(SERVICES, NAMESPACE, name, patch)
    await staged.watch.until(lambda: staged.watch.seen(name, 8080))
    return time.perf_counter() - begun
