"""A model of an API server's Peers, and of what Kilo's agents make of them. Pure.

It refuses what the real server refuses (names taken, versions outdated), fails the test as soon as
a write would touch what is not ours, and tells after each step who holds what.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from heliograph.kilo.peer import Peer
from heliograph.kilo.validation import why_invalid
from heliograph.kube.objects import FIELD_MANAGER, ManagedField
from heliograph.marks import is_ours
from heliograph.wireguard.notation import parse_public_key
from services.peerer.operations import CreatePeer, DeletePeer, Operation, Plan
from services.peerer.own import OwnPeers

Planning = Callable[[OwnPeers], Plan]
Order = Callable[[tuple[Operation, ...]], Iterable[Operation]]
ROUNDS = 4
"""Additions, handovers, deletions, and then nothing."""


def in_order(operations: tuple[Operation, ...]) -> Iterable[Operation]:
    """Return the operations as they are."""
    return operations


class KiloModel:
    """The Peers of one cluster.

    Attributes:
        peers: By name.
        writes: How many there were.
        watched: Is called after each write.
    """

    def __init__(self, *peers: Peer) -> None:
        self.peers = {peer.metadata.name: peer for peer in peers}
        self.writes = 0
        self.watched: Callable[[], None] = lambda: None
        self._versions = itertools.count(1000)

    # What the API server does.

    def own(self) -> OwnPeers:
        """Return what a program knows of the Peers that has just started."""
        own = OwnPeers()
        own.list(self.peers.values())
        return own

    def apply(self, operation: Operation) -> None:
        """Carry one operation out."""
        self.writes += 1
        match operation:
            case CreatePeer(peer=peer):
                assert peer.metadata.name not in self.peers, "the name is taken"
                self._write(peer)
            case DeletePeer(metadata=metadata):
                standing = self.peers.pop(metadata.name)
                assert is_ours(standing), "foreign Peers are never deleted"
                assert standing.metadata.resource_version == metadata.resource_version
            case _:
                standing = self.peers[operation.peer.metadata.name]
                version = operation.peer.metadata.resource_version
                assert is_ours(standing), "foreign Peers are never changed"
                assert standing.metadata.resource_version == version
                self._write(operation.peer)
        self.watched()

    def edit(self, peer: Peer) -> None:
        """Let somebody make a Peer, or change one: who has written what is kept as it is."""
        metadata = msgspec.structs.replace(peer.metadata, resource_version=str(self._version()))
        self.peers[metadata.name] = msgspec.structs.replace(peer, metadata=metadata)

    def settle(self, planning: Planning, order: Order = in_order) -> list[Operation]:
        """Plan, carry the first phase out in an order, and so on until nothing is left to do."""
        done: list[Operation] = []
        for _ in range(ROUNDS):
            plan = planning(self.own())
            phase = plan.additions or plan.handovers or plan.deletions
            if not phase:
                return done
            for operation in order(tuple(phase)):
                self.apply(operation)
            done += phase
        msg = f"not settled: {planning(self.own()).operations}"
        raise AssertionError(msg)

    def _write(self, peer: Peer) -> None:
        assert why_invalid(peer.spec) is None
        metadata = msgspec.structs.replace(
            peer.metadata,
            uid=peer.metadata.uid or f"uid-{peer.metadata.name}-{self.writes}",
            resource_version=str(self._version()),
            managed_fields=(ManagedField(manager=FIELD_MANAGER),),
        )
        self.peers[metadata.name] = msgspec.structs.replace(peer, metadata=metadata)

    def _version(self) -> int:
        return next(self._versions)

    # What Kilo's agents do.

    def valid(self) -> Iterator[Peer]:
        """Yield the Peers that Kilo does not ignore, in the order of their names."""
        peers = (self.peers[name] for name in sorted(self.peers))
        return (peer for peer in peers if why_invalid(peer.spec) is None)

    def holders(self) -> dict[str, str]:
        """Return, by range, the Peer that Kilo gives it to: of equal entries, the first name's."""
        held: dict[str, str] = {}
        for peer in self.valid():
            for cidr in peer.spec.allowed_ips:
                held.setdefault(cidr, peer.metadata.name)
        return held

    def claiming(self, cidr: str) -> list[str]:
        """Return the names of all Peers that have a range."""
        return [peer.metadata.name for peer in self.valid() if cidr in peer.spec.allowed_ips]

    def doubled_keys(self) -> list[str]:
        """Return the keys that several Peers have: these break Kilo."""
        keys = Counter(parse_public_key(peer.spec.public_key) for peer in self.valid())
        return [str(key) for key, count in keys.items() if count > 1]
