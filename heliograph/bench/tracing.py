"""What traces cost a change: the same programs without them, with one in a hundred, and with all.

In turns, each with processes of its own; spans go to a real collector on the same machine.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Final

from heliograph.bench.figures import Tracing, latencies
from heliograph.bench.stage import (
    NAMESPACE,
    Stage,
    program_child,
    service,
    stage,
)
from heliograph.kube.objects import SERVICES
from heliograph.lab.collector import COLLECTOR, Collector
from heliograph.lab.controlplane import ensure_built
from heliograph.marks import EXPORT_LABEL
from heliograph.progress import Progress, Step

_WARM_UP: Final = 8
_PAUSE_S: Final = 0.15  # as in `propagation`: what is measured is a change after silence
_RATIO: Final = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
SIDES: Final[Mapping[str, Mapping[str, str]]] = {
    "off": {"OTEL_SDK_DISABLED": "true"},
    "off_again": {"OTEL_SDK_DISABLED": "true"},
    "sampled": {**_RATIO, "OTEL_TRACES_SAMPLER_ARG": "0.01"},
    "all": {**_RATIO, "OTEL_TRACES_SAMPLER_ARG": "1"},
}
"""Environment of each side's programs; one of them twice, to show what is noise."""

_PORTS: Final = 20_000
_DRAWS: Final = 1000


async def tracing(samples: int, rounds: int, progress: Progress) -> Tracing:
    """Measure so many changes on each side, in each of so many rounds."""
    binary = await ensure_built(progress, COLLECTOR)
    seconds: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    async with stage(progress) as staged:
        with Collector(binary, staged.folder) as collector:
            changes = _Changes(staged, samples)
            await changes.begin()
            text = f"{samples} changes on each side"
            for number in range(rounds):
                progress(Step(text, done=number, total=rounds, unit="rounds"))
                for side in _turned(number):
                    with _programs(staged, collector.endpoint, side):
                        seconds[side].append(await changes.measure())
            progress(Step(text, done=rounds, total=rounds, unit="rounds"))
            spans = len(collector.spans())
    return figures(seconds, spans=spans)


def figures(seconds: Mapping[str, Sequence[Sequence[float]]], *, spans: int) -> Tracing:
    """Return the percentiles of each side, and their ratios to the side without traces."""
    pooled = {side: [s for one in rounds for s in one] for side, rounds in seconds.items()}
    found = {side: latencies(sample) for side, sample in pooled.items()}
    medians = {side: [statistics.median(one) for one in rounds] for side, rounds in seconds.items()}
    traced = [side for side in found if side != "off"]
    return Tracing(
        sides=found,
        p50_ratio={
            side: round(
                statistics.median(
                    ours / off for ours, off in zip(medians[side], medians["off"], strict=True)
                ),
                3,
            )
            for side in traced
        },
        p99_ratio={side: round(found[side].p99 / found["off"].p99, 3) for side in traced},
        p99_interval={side: _interval(seconds[side], seconds["off"]) for side in traced},
        samples=len(pooled["off"]),
        rounds=len(seconds["off"]),
        spans=spans,
    )


def _interval(
    ours: Sequence[Sequence[float]], off: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """Return where the ratio of 99th percentiles lies: in 95 of 100 draws of as many rounds."""
    dice, rounds = random.Random(0), range(len(ours))  # noqa: S311 - the same figures each time
    ratios = []
    for _ in range(_DRAWS):
        drawn = dice.choices(rounds, k=len(rounds))
        both = ([s for number in drawn for s in side[number]] for side in (ours, off))
        a, b = (latencies(sample).p99 for sample in both)
        ratios.append(a / b)
    fortieths = statistics.quantiles(ratios, n=40, method="inclusive")
    return round(fortieths[0], 3), round(fortieths[-1], 3)


class _Changes:
    """Some exported Services, whose port changes again and again."""

    def __init__(self, staged: Stage, samples: int) -> None:
        self._staged = staged
        self._names = [f"traced-{number}" for number in range(samples)]
        self._ports = count(_PORTS)

    async def begin(self) -> None:
        """Create them; nobody mirrors them yet."""
        for name in self._names:
            await self._staged.east.create(SERVICES, service(name, {EXPORT_LABEL: "true"}))

    async def measure(self) -> list[float]:
        """Change each once, after some that warm the programs up; return the seconds of each."""
        for name in self._names[:_WARM_UP]:
            await self._change(name)
        seconds = []
        for name in self._names:
            await asyncio.sleep(_PAUSE_S)
            seconds.append(await self._change(name))
        return seconds

    async def _change(self, name: str) -> float:
        port = next(self._ports)
        patch = {"spec": {"ports": [{"name": "http", "port": port}]}}
        begun = time.perf_counter()
        await self._staged.east.merge_patch(SERVICES, NAMESPACE, name, patch)
        await self._staged.watch.until(lambda: self._staged.watch.seen(name, port))
        return time.perf_counter() - begun


def _turned(number: int) -> list[str]:
    """Return the sides in another order each round: whoever comes first has a cooler machine."""
    sides, by = list(SIDES), number % len(SIDES)
    return sides[by:] + sides[:by]


@contextmanager
def _programs(staged: Stage, endpoint: str, side: str) -> Iterator[None]:
    """Run the watcher of east and the reflector of west, with a side's environment."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **SIDES[side]}
    with (
        program_child(staged.folder, staged.bus, "watcher", "east", environment),
        program_child(staged.folder, staged.bus, "reflector", "west", environment),
    ):
        yield
