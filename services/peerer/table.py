"""The nodes that one cluster announces, folded from its messages. Pure.

What is absent counts only when the cluster confirmed it. So a mesh is never computed from half of
its nodes: addresses in it are positions, and all would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from typing_extensions import override

from heliograph.contract.digest import fingerprint
from heliograph.contract.messages import (
    AnyMessage,
    ClusterAnnounced,
    ClusterWithdrawn,
    NodeAnnounced,
    NodeWithdrawn,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.table import Table

KINDS: Final = (Kind.NODE,)
"""What the peerer consumes beside the cluster's own message."""

CLUSTER_ITSELF: Final = ""
"""Stands for the cluster's own message among the things that are touched; no node is named so."""


class NodeTable(Table[str]):
    """The nodes of one cluster, by name."""

    name = "nodes"
    kinds = KINDS

    @override
    def __init__(self, cluster: ClusterId, *, left_at: int | None = None) -> None:
        super().__init__(cluster, left_at=left_at)
        self._confirmed: dict[str, NodeAnnounced] = {}
        self._heard: dict[str, NodeAnnounced] = {}
        self._known = left_at is not None

    @property
    def known(self) -> bool:
        """Whether all nodes were heard once; a replay since then does not change that.

        A cluster that left is known to have none; one that came back is heard anew.
        """
        return self._known

    @property
    def nodes(self) -> Mapping[str, NodeAnnounced]:
        """The nodes, as they were last confirmed and changed since."""
        return self._confirmed

    @property
    @override
    def size(self) -> int:
        """How many nodes are known."""
        return len(self._confirmed)

    @override
    def begin_replay(self) -> None:
        """A replay of the whole stream begins; until it is confirmed, what was known holds."""
        self._heard = {}
        self.evidence.begin_replay()

    @override
    def end_replay(self) -> set[str]:
        """The replay is over; return the nodes that it showed to be new, changed or gone."""
        return self._confirm() if self.evidence.end_replay() else set()

    @override
    def fold(self, subject: Subject, message: AnyMessage, payload: bytes, epoch: int) -> set[str]:
        """Take one message; return the nodes that it touches.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        if not self.evidence.heeds(epoch, message):
            return set()
        match message:
            case ClusterWithdrawn():
                return self._fold_departure(epoch)
            case ClusterAnnounced():
                return self._fold_cluster(message)
            case NodeAnnounced():
                self._count(subject, payload)
                self._heard[subject.name] = message
            case NodeWithdrawn():
                self._count(subject, None)
                self._heard.pop(subject.name, None)
            case _:
                return set()
        return {subject.name} if self._heard is self._confirmed else set()

    @override
    def fold_unreadable(self, subject: Subject, payload: bytes, epoch: int) -> None:
        """Take a message that this version cannot read: the node is there, as last known."""
        if not self.evidence.heeds(epoch) or subject.kind is not Kind.NODE:
            return
        self._count(subject, payload)
        if subject.name in self._confirmed:
            self._heard[subject.name] = self._confirmed[subject.name]

    def _count(self, subject: Subject, payload: bytes | None) -> None:
        counted = None if payload is None else fingerprint(str(subject), payload)
        self.evidence.count(Kind.NODE, subject.name, counted)

    def _fold_departure(self, epoch: int) -> set[str]:
        touched = {CLUSTER_ITSELF, *self._confirmed}
        self.announced = None
        self.evidence.depart(epoch)
        self._heard, self._confirmed = {}, {}
        self._known = True
        return touched

    def _fold_cluster(self, message: ClusterAnnounced) -> set[str]:
        before, self.announced = self.announced, message
        touched = {CLUSTER_ITSELF} if _facts(before) != _facts(message) else set()
        self._known &= self.left_at is None  # it is back: a mesh of half its nodes would be wrong
        return touched | (self._confirm() if self.evidence.hear(message) else set())

    def _confirm(self) -> set[str]:
        """Take what was heard as all that there is; return what that changes."""
        before, now = self._confirmed, self._heard
        changed = {name for name in before | now if before.get(name) != now.get(name)}
        first = set() if self._known else {CLUSTER_ITSELF}
        self._confirmed, self._known = now, True
        return changed | first


def _facts(message: ClusterAnnounced | None) -> tuple[object, ...] | None:
    """Return what of a cluster's own message matters for peers; leases and digests do not."""
    if message is None:
        return None
    return (message.service_cidrs, message.pod_cidrs, message.tunnel_cidrs, message.peering)
