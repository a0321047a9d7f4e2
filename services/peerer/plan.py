"""What to do so that the Peers of one exporting cluster are as they should be. Pure.

Objects follow keys: Kilo tells Peers apart by their keys, and two with one key break it. So the
Peer that holds a key already becomes the one that should; a new key goes into the Peer of the same
segment; and only what fits neither is new. At no time do two Peers hold one key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain, count

import msgspec

from heliograph.admission.spans import Spans, network_of, span_of, touches
from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer, PeerSpec
from heliograph.kilo.specs import with_extras
from services.peerer.claims import Candidate, resolve_claims
from services.peerer.desired import DesiredPeer, DesiredPeers
from services.peerer.names import peer_name
from services.peerer.obstacles import Passable, pass_foreign
from services.peerer.operations import CreatePeer, DeletePeer, Plan, ReplacePeer
from services.peerer.own import OwnPeers, exporting_of, segment_of
from services.peerer.refusal import Refusal, Where, key_in_use
from services.peerer.render import changed_peer, new_peer


def plan_peers(
    desired: DesiredPeers,
    own: OwnPeers,
    importing: ClusterId,
    rejected: Mapping[str, PeerSpec] | None = None,
) -> Plan:
    """Return the operations that turn the Peers of one exporting cluster into the desired ones.

    Args:
        desired: What should be; computed from all nodes of that cluster.
        own: The Peers of the importing cluster.
        importing: Its id.
        rejected: By segment, what its API server did not take; not tried again, and given nothing.

    Returns:
        Additions, then handovers, then deletions: a range that moves is given to the new Peer
        before it is taken from the old one, as Kilo keeps exactly one of two equal entries. After
        any of them was carried out, plan again. Empty when nothing differs.
    """
    if desired.peers is None:
        return Plan(refusals=desired.refusals)
    passable = pass_foreign(desired, own.foreign(), importing)
    planning = _Planning(desired.exporting, passable, own, importing, rejected or {})
    return planning.plan(desired.refusals + passable.refusals)


class _Planning:
    """One plan, while it is made."""

    def __init__(
        self,
        exporting: ClusterId,
        passable: Passable,
        own: OwnPeers,
        importing: ClusterId,
        rejected: Mapping[str, PeerSpec],
    ) -> None:
        self._exporting, self._own, self._importing = exporting, own, importing
        self._actual = own.ours(exporting)
        self._awaited = dict(self._elsewhere(passable.peers.values()))
        self._peers = {
            segment: peer
            for segment, peer in passable.peers.items()
            if rejected.get(segment) != peer.spec and segment not in self._awaited
        }
        unwritten = passable.peers.keys() - self._peers.keys() - self._awaited.keys()
        self._assigned = assign(self._peers.values(), self._actual.values())
        self._kept = frozenset(self._untouched(passable.standing | unwritten))
        self._shared = tuple(self._free(passable.shared))
        self._claims = resolve_claims(self._shared, self._candidates(), importing)
        self._names: set[str] = set()

    def plan(self, refusals: tuple[Refusal, ...]) -> Plan:
        """Return the plan."""
        additions: list[CreatePeer | ReplacePeer] = []
        handovers: list[ReplacePeer] = []
        for segment, peer in self._peers.items():
            spec, actual = self._with_claims(peer), self._assigned.get(segment)
            if actual is None:
                name = self._free_name(peer)
                created = new_peer(name, self._exporting, segment, spec)
                additions.append(CreatePeer(peer=created))
                continue
            interim = with_extras(spec, self._handed_over(spec, actual, segment))
            if (changed := self._changed(actual, segment, interim)) is not None:
                additions.append(changed)
            if interim != spec and (changed := self._changed(actual, segment, spec)) is not None:
                handovers.append(changed)
        return Plan(
            additions=tuple(additions),
            handovers=tuple(handovers),
            deletions=tuple(self._deletions()),
            refusals=(*refusals, *self._awaiting()),
            awaited=frozenset(exporting_of(other) for _, other in self._awaited.values()),
        )

    def _elsewhere(self, peers: Iterable[DesiredPeer]) -> Iterator[tuple[str, tuple[str, Peer]]]:
        """Yield the segments whose key a Peer of another cluster has, with leader and that Peer.

        A node may have moved there with its key, or labels been edited. What stands here for such a
        segment, with another key, is of no use and goes: two clusters may wait for one another.
        """
        for peer in peers:
            other = self._own.elsewhere(peer.spec.public_key, self._exporting)
            if other is not None:
                yield peer.segment, (peer.leader, other)

    def _awaiting(self) -> Iterator[Refusal]:
        for leader, other in self._awaited.values():
            where = Where(importing=self._importing, exporting=self._exporting, node=leader)
            yield key_in_use(where, other.metadata.name, exporting_of(other))

    def _untouched(self, segments: AbstractSet[str]) -> Iterator[str]:
        """Yield the names of Peers that stay as they are."""
        used = {peer.metadata.name for peer in self._assigned.values()}
        for name, peer in self._actual.items():
            if name not in used and segment_of(peer) in segments:
                yield name

    def _free(self, shared: Iterable[str]) -> Iterator[str]:
        """Yield the ranges to be given to somebody: what untouched Peers have, they keep."""
        peers = (self._actual[name] for name in self._kept)
        held = {cidr for peer in peers for cidr in peer.spec.allowed_ips}
        return (cidr for cidr in shared if cidr not in held)

    def _candidates(self) -> Iterator[Candidate]:
        for segment, peer in self._peers.items():
            actual = self._assigned.get(segment)
            holds = frozenset(actual.spec.allowed_ips if actual else ())
            yield Candidate(segment=segment, healthy=peer.healthy, holds=holds)

    def _with_claims(self, peer: DesiredPeer) -> PeerSpec:
        claimed = (cidr for cidr in self._shared if self._claims.get(cidr) == peer.segment)
        return with_extras(peer.spec, claimed)

    def _handed_over(self, spec: PeerSpec, actual: Peer, segment: str) -> Iterator[str]:
        """Yield the ranges that a Peer has, and that another one is given now."""
        held = set(actual.spec.allowed_ips) - set(spec.allowed_ips)
        return (c for c in self._shared if c in held and self._claims.get(c, segment) != segment)

    def _changed(self, actual: Peer, segment: str, spec: PeerSpec) -> ReplacePeer | None:
        wanted = changed_peer(actual, self._exporting, segment, spec)
        return None if wanted is actual else ReplacePeer(peer=wanted)

    def _deletions(self) -> Iterator[DeletePeer]:
        """Yield the deletion of each Peer that nothing is left to be said of."""
        used = {peer.metadata.name for peer in self._assigned.values()}
        for name, peer in self._actual.items():
            if name not in used and name not in self._kept:
                yield DeletePeer(metadata=peer.metadata)

    def _free_name(self, peer: DesiredPeer) -> str:
        """Return a name for a new Peer: the plain one, unless something else has it."""
        key = peer.spec.public_key
        suffixes = chain(("", key), (f"{key}{number}" for number in count(1)))
        names = (peer_name(self._exporting, peer.segment, suffix) for suffix in suffixes)
        name = next(n for n in names if not (self._own.knows(n) or n in self._names))
        self._names.add(name)
        return name


def assign(peers: Iterable[DesiredPeer], actual: Iterable[Peer]) -> dict[str, Peer]:
    """Return, by segment, the Peer that is to become the desired one: by key, else by segment.

    Of several with one key, which people may have made, that of the segment is preferred.
    """
    wanted, standing = {peer.segment: peer for peer in peers}, tuple(actual)
    by_key: dict[str, Peer] = {}
    for peer in standing:
        one = wanted.get(segment_of(peer))
        if one is not None and one.spec.public_key == peer.spec.public_key:
            by_key[peer.spec.public_key] = peer
        by_key.setdefault(peer.spec.public_key, peer)
    found = {s: by_key[p.spec.public_key] for s, p in wanted.items() if p.spec.public_key in by_key}
    used = {peer.metadata.name for peer in found.values()}
    for peer in standing:
        segment = segment_of(peer)
        if segment in wanted and segment not in found and peer.metadata.name not in used:
            found[segment] = peer
            used.add(peer.metadata.name)
    return found


def trim_refused(own: OwnPeers, exporting: ClusterId, taken: Spans) -> Plan:
    """Return what to take from the Peers of a cluster that is refused now: others' addresses.

    Nothing else of it changes and no Peer goes, but for one that would be left without any range.
    """
    changes: list[ReplacePeer] = []
    deletions: list[DeletePeer] = []
    for peer in own.ours(exporting).values():
        left = tuple(c for c in peer.spec.allowed_ips if not _touches(taken, c))
        if left == peer.spec.allowed_ips:
            continue
        if left:
            spec = msgspec.structs.replace(peer.spec, allowed_ips=left)
            changes.append(ReplacePeer(peer=msgspec.structs.replace(peer, spec=spec)))
        else:
            deletions.append(DeletePeer(metadata=peer.metadata))
    return Plan(handovers=tuple(changes), deletions=tuple(deletions))


def _touches(taken: Spans, cidr: str) -> bool:
    network = network_of(cidr)
    return network is not None and touches(taken, span_of(network))
