"""Which ranges have an address in common with a given one, among tens of thousands. Pure.

Of two ranges that share an address one holds the other, or they are equal. So those inside of a
range stand together in the order of first addresses, and those around it have one of the few sizes
that occur, and a first address that follows from it.
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from heliograph.admission.declaration import Declaration, Use
from heliograph.admission.spans import Span, Spans, joined, network_of, span_of
from heliograph.contract.names import ClusterId


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A range, and whose it is.

    Attributes:
        cluster: The cluster that has it.
        span: Its addresses.
        cidr: The range, canonical.
        use: What it is for; None if that is not known.
    """

    cluster: ClusterId
    span: Span
    cidr: str
    use: Use | None


class RangeIndex:
    """Ranges of any clusters; equal and nested ones may be in it."""

    def __init__(self, ranges: Iterable[Held] = ()) -> None:
        self._held: dict[Span, list[Held]] = {}
        self._order: list[Span] = []
        self._sizes: set[int] = set()
        self._sorted = True
        self.add(ranges)

    def add(self, ranges: Iterable[Held]) -> None:
        """Add ranges of any clusters."""
        for held in ranges:
            span = held.span
            if span not in self._held:
                self._order.append(span)
                self._sizes.add(_size(span))
                self._sorted = False
            self._held.setdefault(span, []).append(held)

    def overlapping(self, span: Span) -> Iterator[Held]:
        """Yield what shares an address with a range: what is around it first, then by address."""
        for found in chain(self._around(span), self._within(span)):
            yield from self._held[found]

    def _around(self, span: Span) -> Iterator[Span]:
        """Yield the larger ranges that hold this one, the largest first."""
        sizes = (size for size in self._sizes if size > _size(span))
        for size in sorted(sizes, reverse=True):
            first = span[0] & -size  # sizes are powers of two
            if (first, first + size - 1) in self._held:
                yield first, first + size - 1

    def _within(self, span: Span) -> Iterator[Span]:
        """Yield the range itself and the smaller ones inside of it."""
        if not self._sorted:
            self._order.sort()
            self._sorted = True
        begin = bisect_left(self._order, (span[0], 0))
        end = bisect_right(self._order, (span[1], span[1]), lo=begin)
        return (found for found in self._order[begin:end] if found[1] <= span[1])


@functools.lru_cache(maxsize=512)
def declared(declaration: Declaration) -> tuple[Held, ...]:
    """Return the ranges of a declaration that can be read, in its order."""
    ranges = (held_by(declaration.cluster, text, use) for text, use in declaration.ranges())
    return tuple(filter(None, ranges))


@functools.lru_cache(maxsize=512)
def declared_spans(declaration: Declaration) -> Spans:
    """Return all addresses of a declaration."""
    return joined(held.span for held in declared(declaration))


def held_by(cluster: ClusterId, text: str, use: Use | None) -> Held | None:
    """Return a range of a cluster; None if the text is none."""
    network = network_of(text)
    if network is None:
        return None
    return Held(cluster=cluster, span=span_of(network), cidr=str(network), use=use)


def shared(spans: Mapping[ClusterId, Spans]) -> tuple[set[ClusterId], Spans]:
    """Return the clusters that share addresses with others, and those addresses: mostly none.

    In the order of first addresses it is enough to compare each span with that one before it which
    reaches farthest: what a third shares with it, these two share too.
    """
    clusters: set[ClusterId] = set()
    found: list[Span] = []
    reach, holder = -1, ClusterId("")
    for first, last, cluster in sorted((*s, c) for c, owned in spans.items() for s in owned):
        if first <= reach:
            clusters |= {cluster, holder}
            found.append((first, min(last, reach)))
        if last > reach:
            reach, holder = last, cluster
    return clusters, joined(found)


def _size(span: Span) -> int:
    return span[1] - span[0] + 1
