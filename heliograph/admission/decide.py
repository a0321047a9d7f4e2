"""Which clusters an importing cluster takes part with: the one that was there first stays. Pure.

The importing cluster's own ranges always win. Among the others the record decides. Its entries
stand for ranges that were admitted, and no two of them share an address; so they also keep the
place of a cluster that is away, or that has not been heard since a restart.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Final

import msgspec

from heliograph.admission.declaration import Admitted, Decision, Declaration, Overlap
from heliograph.admission.overlaps import (
    Held,
    RangeIndex,
    declared,
    declared_spans,
    held_by,
    shared,
)
from heliograph.admission.spans import (
    Spans,
    cidrs_of,
    covers,
    joined,
    meet,
    spans_of,
    touches,
    without,
)
from heliograph.contract.messages import Timestamp
from heliograph.contract.names import ClusterId

MAX_OVERLAPS: Final = 20
"""Overlaps that are listed of one cluster: what is mended first shows what else there is."""

_STANDING, _GROWN, _NEW = range(3)
Record = Mapping[ClusterId, Admitted]


def decide(
    own: Declaration | None, others: Iterable[Declaration], record: Record, now: Timestamp
) -> Decision:
    """Return who is admitted, who is not and why, and the record for the next decision.

    Args:
        own: The importing cluster's ranges; None while they are not known.
        others: The other clusters' ranges, one declaration for each cluster, in any order.
        record: What was admitted before; kept as it is for clusters that are not among `others`.
        now: When this is decided.

    Returns:
        An entry of the record is the same object where nothing is to be written. A cluster that is
        refused keeps its entry, but for ranges that it has given up and another one now has.
        Deciding again with the new record changes nothing.
    """
    heard = {
        other.cluster: other for other in others if own is None or other.cluster != own.cluster
    }
    refused = _Case(own, heard, record).judge()
    admitted = frozenset(heard.keys() - refused.keys())
    after = _next_record(
        {cluster: declared_spans(heard[cluster]) for cluster in admitted}, record, now
    )
    return Decision(
        admitted=admitted,
        refused={cluster: _dated(overlaps, after) for cluster, overlaps in refused.items()},
        record=after,
    )


def merged(stored: Record, ours: Record) -> dict[ClusterId, Admitted]:
    """Return the record as it is kept, with what was decided here and is not written yet.

    What is kept wins: another program of this cluster decides too, at the same time.
    """
    found = dict(stored)
    for cluster, entry in sorted(ours.items()):
        spans = spans_of(entry.ranges)
        others = (spans_of(e.ranges) for other, e in found.items() if other != cluster)
        before = spans_of(stored[cluster].ranges) if cluster in stored else ()
        grows = covers(spans, before) and spans != before
        if grows and not any(meet(spans, other) for other in others):
            found[cluster] = entry
    return found


def dropped(record: Record, cluster: ClusterId) -> dict[ClusterId, Admitted]:
    """Return the record without a cluster that has left: its ranges are free again."""
    return {other: entry for other, entry in record.items() if other != cluster}


class _Case:
    """One decision, while it is made.

    Only what is shared by clusters is looked at: mostly that is nothing.
    """

    def __init__(
        self, own: Declaration | None, heard: Mapping[ClusterId, Declaration], record: Record
    ) -> None:
        self._heard, self._record = heard, record
        self._own_id = own.cluster if own else None
        self._own = RangeIndex(declared(own) if own else ())
        self._suspects, self._shared = self._find_shared(own)
        self._ranks = {cluster: self._rank(cluster) for cluster in self._suspects}
        self._turns = sorted(self._suspects, key=self._turn)

    def judge(self) -> dict[ClusterId, tuple[Overlap, ...]]:
        """Return the clusters that are refused, with what stands against them."""
        refused = self._refused()
        held = RangeIndex(chain.from_iterable(self._held(c, refused) for c in self._turns))
        return {
            cluster: tuple(islice(self._overlaps(cluster, held), MAX_OVERLAPS))
            for cluster in sorted(refused)
        }

    def _refused(self) -> set[ClusterId]:
        grown = (cluster for cluster in self._turns if self._ranks[cluster] == _GROWN)
        # what a cluster had before comes before what any other one grows into
        taken = RangeIndex(chain.from_iterable(map(self._kept, grown)))
        refused: set[ClusterId] = set()
        for cluster in self._turns:
            if next(self._overlaps(cluster, taken), None):
                refused.add(cluster)
            if cluster not in refused or self._ranks[cluster] == _STANDING:
                taken.add(self._ranges(cluster))
        return refused

    def _turn(self, cluster: ClusterId) -> tuple[int, Timestamp, ClusterId]:
        entry = self._record.get(cluster)
        return self._ranks[cluster], entry.since if entry else "", cluster

    def _find_shared(self, own: Declaration | None) -> tuple[set[ClusterId], Spans]:
        """Return the clusters that share addresses with any other, and these: all else is right."""
        known = (*self._heard.values(), *((own,) if own else ()))
        spans = {declaration.cluster: declared_spans(declaration) for declaration in known}
        for cluster, entry in self._record.items():
            spans.setdefault(cluster, spans_of(entry.ranges))
        suspects, addresses = shared(spans)
        return suspects - {self._own_id}, addresses

    def _rank(self, cluster: ClusterId) -> int:
        """Return which clusters go first: those that stand, that stood with less, and new ones."""
        entry, heard = self._record.get(cluster), self._heard.get(cluster)
        if entry is None:
            return _NEW
        stands = heard is None or covers(spans_of(entry.ranges), declared_spans(heard))
        return _STANDING if stands else _GROWN

    def _ranges(self, cluster: ClusterId) -> Iterator[Held]:
        """Yield what a cluster declares, or what the record keeps for it while it is away."""
        heard = self._heard.get(cluster)
        ranges = declared(heard) if heard else _recorded(cluster, self._record[cluster])
        return (held for held in ranges if touches(self._shared, held.span))

    def _kept(self, cluster: ClusterId) -> Iterator[Held]:
        """Yield the part of what a cluster declares that was admitted before."""
        before = RangeIndex(_recorded(cluster, self._record[cluster]))
        for held in self._ranges(cluster):
            for found in before.overlapping(held.span):
                inside = covers((found.span,), (held.span,))
                yield held if inside else msgspec.structs.replace(found, use=held.use)

    def _held(self, cluster: ClusterId, refused: Container[ClusterId]) -> Iterable[Held]:
        """Return what no other cluster can have."""
        if cluster not in refused or self._ranks[cluster] == _STANDING:
            return self._ranges(cluster)
        return self._kept(cluster) if self._ranks[cluster] == _GROWN else ()

    def _overlaps(self, cluster: ClusterId, taken: RangeIndex) -> Iterator[Overlap]:
        """Yield what stands against a cluster that was heard, own ranges first."""
        if cluster not in self._heard:
            return
        for index in (self._own, taken):
            for held in self._ranges(cluster):
                for other in index.overlapping(held.span):
                    if other.cluster != cluster:
                        yield _overlap(held, other)


def _overlap(held: Held, other: Held) -> Overlap:
    return Overlap(
        refused=held.cluster,
        cidr=held.cidr,
        use=held.use or "pod",  # what is declared has a use
        with_cluster=other.cluster,
        with_cidr=other.cidr,
        with_use=other.use,
    )


def _next_record(admitted: Mapping[ClusterId, Spans], record: Record, now: Timestamp) -> Record:
    """Return the record with what is admitted for the first time: nobody else keeps that."""
    before = {cluster: spans_of(entry.ranges) for cluster, entry in record.items()}
    grown = {
        cluster: spans
        for cluster, spans in sorted(admitted.items())
        if not covers(before.get(cluster, ()), spans)
    }
    if not grown:
        return record
    taken = joined(chain.from_iterable(grown.values()))
    kept = {cluster: _left(entry, taken) for cluster, entry in record.items()}
    for cluster, spans in grown.items():
        ranges = joined((*without(before.get(cluster, ()), taken), *spans))
        kept[cluster] = Admitted(since=now, ranges=cidrs_of(ranges))
    return {cluster: entry for cluster, entry in kept.items() if entry.ranges}


def _dated(overlaps: tuple[Overlap, ...], record: Record) -> tuple[Overlap, ...]:
    """Return overlaps with the time at which the other one was admitted."""
    return tuple(
        msgspec.structs.replace(overlap, since=record[overlap.with_cluster].since)
        if overlap.with_cluster in record
        else overlap
        for overlap in overlaps
    )


def _left(entry: Admitted, taken: Spans) -> Admitted:
    """Return what an entry keeps; the same object if that is all."""
    spans = spans_of(entry.ranges)
    if not meet(spans, taken):
        return entry
    return msgspec.structs.replace(entry, ranges=cidrs_of(without(spans, taken)))


def _recorded(cluster: ClusterId, entry: Admitted) -> Iterator[Held]:
    ranges = (held_by(cluster, cidr, None) for cidr in cidrs_of(spans_of(entry.ranges)))
    return filter(None, ranges)
