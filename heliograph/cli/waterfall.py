"""How one change travelled, hop by hop, each with the clock that measured it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from heliograph.contract.traces import Answer, Change

_MS = 1e3
_LEAST_WAIT_S = 50e-6
"""A shorter one is no hop: it would read 0.0."""


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One hop of a change.

    Attributes:
        name: Such as "plan".
        clock: Whose clock measured how long it took.
        begun_s: When it began, seconds since the watch line; of an importing cluster's hops
            estimated, since no two clocks are compared: the bus is taken to be as quick there as
            back.
        took_s: How long it took.
    """

    name: str
    clock: str
    begun_s: float
    took_s: float


def hops(exporting: str, change: Change) -> tuple[Hop, ...]:
    """Return the hops of a change: of the exporting cluster, then of each importing one."""
    answered = (hop for answer in change.answers for hop in _there(exporting, change, answer))
    return (*_here(exporting, change), *answered)


def _here(exporting: str, change: Change) -> Iterator[Hop]:
    yield Hop(name="watch", clock=exporting, begun_s=0, took_s=change.sent_s)
    if change.stored_s is not None:
        took_s = change.stored_s - change.sent_s
        yield Hop(name="publish", clock=exporting, begun_s=change.sent_s, took_s=took_s)


def _there(exporting: str, change: Change, answer: Answer) -> Iterator[Hop]:
    clocks = f"{exporting} less {answer.importing}"
    way_s = max(0.0, answer.heard_s - change.sent_s - answer.seconds) / 2
    arrived_s = change.sent_s + way_s
    yield Hop(name=f"to {answer.importing}", clock=clocks, begun_s=change.sent_s, took_s=way_s)
    yield from _work(answer, arrived_s)
    ended_s = arrived_s + answer.seconds
    yield Hop(name=f"from {answer.importing}", clock=clocks, begun_s=ended_s, took_s=way_s)


def _work(answer: Answer, arrived_s: float) -> Iterator[Hop]:
    """Yield what the importing cluster did, and what it waited for in between."""
    clock, at_s = answer.importing, 0.0
    for step in answer.steps:
        if step.begun_s - at_s >= _LEAST_WAIT_S:
            yield Hop(
                name="wait", clock=clock, begun_s=arrived_s + at_s, took_s=step.begun_s - at_s
            )
        begun_s, took_s = arrived_s + step.begun_s, step.ended_s - step.begun_s
        yield Hop(name=step.name, clock=clock, begun_s=begun_s, took_s=took_s)
        at_s = step.ended_s
    if answer.seconds > at_s:
        name = "settle" if answer.steps else "all"
        yield Hop(name=name, clock=clock, begun_s=arrived_s + at_s, took_s=answer.seconds - at_s)


def end_s(change: Change) -> float:
    """Return when the last word on a change was heard, seconds since its watch line."""
    known = (change.sent_s, change.stored_s or 0.0, *(a.heard_s for a in change.answers))
    return max(known)


def bar(hop: Hop, whole_s: float, width: int, mark: str) -> str:
    """Return a hop as a bar at its place in `width` columns; a short one has one column."""
    scale = width / whole_s if whole_s > 0 else 0.0
    begin = min(width - 1, max(0, int(hop.begun_s * scale)))
    length = max(1, min(width - begin, round(hop.took_s * scale)))
    return (" " * begin + mark * length).ljust(width)


def rows(found: Sequence[Hop], whole_s: float, *, width: int, mark: str) -> Iterator[str]:
    """Yield a header, and a line for each hop: whose clock, milliseconds, and its bar."""
    names = max(len(hop.name) for hop in found)
    clocks = max(len("CLOCK"), *(len(hop.clock) for hop in found))
    yield f"  {'HOP':{names}}  {'CLOCK':{clocks}}  {'BEGUN':>9}  {'TOOK':>9}"
    for hop in found:
        times = f"{hop.begun_s * _MS:9.1f}  {hop.took_s * _MS:9.1f}"
        drawn = bar(hop, whole_s, width, mark)
        yield f"  {hop.name:{names}}  {hop.clock:{clocks}}  {times}  {drawn}".rstrip()
