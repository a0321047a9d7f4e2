"""The Peers of the importing cluster: ours, and what others have made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from typing_extensions import override

from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer
from heliograph.kube.objects import ObjectMeta
from heliograph.marks import SEGMENT_ANNOTATION, SOURCE_CLUSTER_LABEL, is_ours
from heliograph.own.objects import OwnObjects
from heliograph.wireguard.notation import parse_public_key

EVERYBODY: Final = ClusterId("")
"""Touched when a foreign Peer changes: it may stand in anybody's way."""


class OwnPeers(OwnObjects[ClusterId, Peer]):
    """All Peers of the importing cluster; what changes touches exporting clusters."""

    def __init__(self) -> None:
        super().__init__()
        self._ours: dict[str, Peer] = {}
        self._foreign: dict[str, Peer] = {}
        self._names: dict[ClusterId, set[str]] = {}
        self._by_key: dict[str, set[str]] = {}

    def ours(self, exporting: ClusterId) -> Mapping[str, Peer]:
        """Return our Peers of one exporting cluster, by name."""
        return {name: self._ours[name] for name in sorted(self._names.get(exporting, ()))}

    def foreign(self) -> Iterator[Peer]:
        """Yield the Peers that are not ours, by name."""
        return (self._foreign[name] for name in sorted(self._foreign))

    def knows(self, name: str) -> bool:
        """Tell whether any Peer has this name."""
        return name in self._ours or name in self._foreign

    def elsewhere(self, public_key: str, exporting: ClusterId) -> Peer | None:
        """Return our Peer of another exporting cluster that has a key; the first by name."""
        peers = (self._ours[name] for name in sorted(self._by_key.get(public_key, ())))
        return next((peer for peer in peers if exporting_of(peer) != exporting), None)

    def exporting(self) -> set[ClusterId]:
        """Return the clusters of which we have Peers."""
        return {cluster for cluster, names in self._names.items() if names}

    def __len__(self) -> int:
        return len(self._ours)

    @override
    def _store(self, obj: Peer) -> set[ClusterId]:
        touched = self._forget(obj.metadata)
        name = obj.metadata.name
        if not is_ours(obj):
            self._foreign[name] = obj
            return touched | {EVERYBODY}
        cluster = exporting_of(obj)
        self._ours[name] = obj
        self._names.setdefault(cluster, set()).add(name)
        self._by_key.setdefault(_key_of(obj), set()).add(name)
        return touched | {cluster}

    @override
    def _forget(self, metadata: ObjectMeta) -> set[ClusterId]:
        if self._foreign.pop(metadata.name, None) is not None:
            return {EVERYBODY}
        peer = self._ours.pop(metadata.name, None)
        if peer is None:
            return set()
        cluster = exporting_of(peer)
        self._names[cluster].discard(metadata.name)
        holders = self._by_key[_key_of(peer)]
        holders.discard(metadata.name)
        if not holders:
            del self._by_key[_key_of(peer)]
        return {cluster}

    @override
    def _clear(self) -> set[ClusterId]:
        known = {EVERYBODY, *self.exporting()}
        self._ours.clear()
        self._foreign.clear()
        self._names.clear()
        self._by_key.clear()
        return known


def exporting_of(peer: Peer) -> ClusterId:
    """Return the cluster that a Peer of ours belongs to, by its label."""
    return ClusterId(peer.metadata.labels.get(SOURCE_CLUSTER_LABEL, ""))


def _key_of(peer: Peer) -> str:
    """Return the key in its one spelling: people may have edited it."""
    return parse_public_key(peer.spec.public_key) or peer.spec.public_key


def segment_of(peer: Peer) -> str:
    """Return the part of that cluster's mesh that a Peer of ours stands for, by its annotation."""
    return peer.metadata.annotations.get(SEGMENT_ANNOTATION, "")
