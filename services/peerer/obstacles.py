"""What Peers of others leave of ours: theirs were there first, and win. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from heliograph.admission.spans import Span, joined, span_of_text, touches
from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer
from heliograph.wireguard.notation import parse_public_key
from services.peerer.desired import DesiredPeer, DesiredPeers
from services.peerer.refusal import Refusal, Where, foreign_peer, range_taken


class Passable(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set beside the Peers of others.

    Attributes:
        peers: By segment, with the allowed IPs that are left to them.
        standing: Segments whose key somebody else's Peer has: what stands of ours is left alone.
        shared: Ranges to be given to one of the Peers.
        refusals: What is not set, and why.
    """

    peers: Mapping[str, DesiredPeer]
    standing: frozenset[str]
    shared: tuple[str, ...]
    refusals: tuple[Refusal, ...]


def pass_foreign(desired: DesiredPeers, foreign: Iterable[Peer], importing: ClusterId) -> Passable:
    """Return what of the desired Peers can be set.

    A foreign Peer with the key of one of these nodes was made by hand for it: no second one is
    made, and the shared ranges that it has are not given to anybody else.
    """
    others = tuple(foreign)
    by_key = {parse_public_key(peer.spec.public_key): peer for peer in others}
    peers = desired.peers or ()
    doubled = {p.segment: by_key[p.spec.public_key] for p in peers if p.spec.public_key in by_key}
    by_hand = {peer.metadata.name for peer in doubled.values()}
    foreign_ranges = _Ranges(others)
    where = {
        p.segment: Where(importing=importing, exporting=desired.exporting, node=p.leader)
        for p in peers
    }
    refusals = [foreign_peer(where[s], peer.metadata.name) for s, peer in doubled.items()]
    free: dict[str, DesiredPeer] = {}
    for peer in peers:
        if peer.segment not in doubled:
            left, taken = foreign_ranges.divide(peer.spec.allowed_ips, where[peer.segment])
            refusals += taken
            if left:
                free[peer.segment] = _with_ranges(peer, left)
    shared, taken = foreign_ranges.divide(
        desired.shared, Where(importing=importing, exporting=desired.exporting, node="")
    )
    refusals += (refusal for refusal in taken if refusal.name not in by_hand)
    return Passable(
        peers=free, standing=frozenset(doubled), shared=shared, refusals=tuple(refusals)
    )


def _with_ranges(peer: DesiredPeer, left: tuple[str, ...]) -> DesiredPeer:
    """Return a Peer with the allowed IPs that are left to it; mostly that is itself."""
    if left == peer.spec.allowed_ips:
        return peer
    spec = msgspec.structs.replace(peer.spec, allowed_ips=left)
    return msgspec.structs.replace(peer, spec=spec)


class _Ranges:
    """The allowed IPs of foreign Peers: few, since people make them by hand."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._held = tuple(_held(peers))
        self._spans = joined(span for span, _, _ in self._held)

    def divide(self, cidrs: Iterable[str], where: Where) -> tuple[tuple[str, ...], list[Refusal]]:
        """Return the ranges that are free, and a refusal for each of the others."""
        left, taken = [], []
        for cidr in cidrs:
            holder = self._holder(cidr)
            if holder is None:
                left.append(cidr)
            else:
                taken.append(range_taken(where, cidr, *holder))
        return tuple(left), taken

    def _holder(self, cidr: str) -> tuple[str, str] | None:
        """Return name and range of the first foreign Peer that shares an address with a range."""
        span = span_of_text(cidr)
        if not touches(self._spans, span):
            return None
        held = (one for one in self._held if touches((one[0],), span))
        return next((name, range_held) for _, name, range_held in held)


def _held(peers: Iterable[Peer]) -> Iterator[tuple[Span, str, str]]:
    for peer in peers:
        for cidr in peer.spec.allowed_ips:
            with suppress(ValueError):
                yield span_of_text(cidr), peer.metadata.name, cidr
