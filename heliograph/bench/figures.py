"""Figures of a benchmark, ours beside the floor's, and their ratio. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

_KEYS = ("p50", "p99", "max")
_NOISE_BYTES: Final = 128 << 10


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from just before the write in east to the watch event in west.

    Attributes:
        p50: Median.
        p99: 99th percentile.
        max: Longest.
    """

    p50: float
    p99: float
    max: float


def latencies(seconds: Sequence[float]) -> Latencies:
    """Return the percentiles of a sample of at least two."""
    hundredths = statistics.quantiles(seconds, n=100, method="inclusive")
    return Latencies(
        p50=round(statistics.median(seconds), 6),
        p99=round(hundredths[98], 6),
        max=round(max(seconds), 6),
    )


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement beside its floor.

    Attributes:
        ours: Heliograph.
        floor: The minimal relay.
        ratio: Ours divided by the floor's, by percentile.
    """

    ours: Latencies
    floor: Latencies
    ratio: dict[str, float]


def compare(ours: Sequence[float], floor: Sequence[float]) -> Compared:
    """Return both samples' percentiles and their ratios."""
    a, b = latencies(ours), latencies(floor)
    ratio = {key: round(getattr(a, key) / getattr(b, key), 3) for key in _KEYS}
    return Compared(ours=a, floor=b, ratio=ratio)


class Propagation(msgspec.Struct, frozen=True, kw_only=True):
    """How long an idle pair of clusters needs for one change.

    Attributes:
        new: Services created.
        changed: Services changed.
        samples: How many of each, on either side.
    """

    new: Compared
    changed: Compared
    samples: int


class Tracing(msgspec.Struct, frozen=True, kw_only=True):
    """What traces cost a change between idle clusters.

    Attributes:
        sides: By "off", "off_again" (the same), "sampled" (one trace in a hundred) and "all".
        p50_ratio: Median of each round divided by that without traces; the median of all rounds.
        p99_ratio: 99th percentile of all samples divided by that without traces. Of "off_again"
            both are noise, and nothing below them is anything else.
        p99_interval: Where that ratio lies with 95 % confidence, by drawing rounds again and again
            (bootstrap); an interval with 1 in it shows no difference.
        samples: How many changes, on each side.
        rounds: In how many turns.
        spans: How many the collector received.
    """

    sides: dict[str, Latencies]
    p50_ratio: dict[str, float]
    p99_ratio: dict[str, float]
    p99_interval: dict[str, tuple[float, float]]
    samples: int
    rounds: int
    spans: int


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """Wall times in seconds: `wall` of each side."""

    wall: float


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """Many Services exported at once.

    Attributes:
        ours: Until all are visible in west, with Heliograph.
        floor: The same with the minimal relay.
        ratio: `wall`, ours divided by the floor's.
        live_change_s: A change of another Service, made in the middle of ours, visible after so
            many seconds; the longest of all rounds.
        services: How many.
        rounds: How often each side did it, by turns; the walls are medians.
    """

    ours: Walls
    floor: Walls
    ratio: dict[str, float]
    live_change_s: float
    services: int
    rounds: int


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """All programs started again over mirrors that are as they should be.

    Attributes:
        ours: From the first request until everything is confirmed.
        floor: Listing Services and EndpointSlices of both sides.
        ratio: `wall`, ours divided by the floor's.
        writes: Requests that changed something; none should.
        process_start_s: Until a process is able to make its first request.
        services: How many mirrors.
    """

    ours: Walls
    floor: Walls
    ratio: dict[str, float]
    writes: int
    process_start_s: float
    services: int


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of each program, resident.

    Attributes:
        bytes_per_service: By program: growth from the smaller to the larger count, per Service.
        idle_bytes: By program: with nothing exported.
        services: The two counts.
    """

    bytes_per_service: dict[str, int]
    idle_bytes: dict[str, int]
    services: tuple[int, int]


class Heartbeats(msgspec.Struct, frozen=True, kw_only=True):
    """What the heartbeats of Kilo's agents cost a watcher.

    Attributes:
        cpu_share: Of one core, while the nodes beat.
        idle_cpu_share: The same while none does.
        messages: Published of nodes meanwhile; none should be.
        beats: How many there were.
        nodes: How many beat, each once in 30 s.
    """

    cpu_share: float
    idle_cpu_share: float
    messages: int
    beats: int
    nodes: int


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """What `heliograph events --follow` needs while Services change without a pause.

    Attributes:
        per_second: Changes published each second.
        messages: How many in all; each was told.
        behind_s: How long after the last one all of them were.
        cpu_share: Of one core, of the follower.
        bytes_before: Its memory, resident, before the first change.
        bytes_after: The same after the last one.
    """

    per_second: int
    messages: int
    behind_s: float
    cpu_share: float
    bytes_before: int
    bytes_after: int


def at_rest(samples: Sequence[Mapping[str, int]], count: int) -> bool:
    """Tell whether the latest `count` samples show, for each program, the same but for noise."""
    if len(samples) < count:
        return False
    columns = zip(*(sample.values() for sample in samples), strict=True)
    return all(max(column) - min(column) <= _NOISE_BYTES for column in columns)


def ratio(ours_s: float, floor_s: float) -> dict[str, float]:
    """Return the ratio of two wall times."""
    return {"wall": round(ours_s / floor_s, 3)}
