"""A model of an exporting cluster's nodes: its stream, and what a reader of it gets. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.contract.digest import LiveSet, fingerprint
from heliograph.contract.messages import (
    WITHDRAWALS,
    ClusterAnnounced,
    Message,
    NodeAnnounced,
    encode,
    is_withdrawal,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from services.peerer.table import NodeTable
from tests.support.builders import EAST
from tests.support.peers import ANNOUNCED


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it was published."""

    subject: Subject
    message: Message
    epoch: int

    def fold_into(self, table: NodeTable) -> set[str]:
        """Let a table take it; return what it touches."""
        payload = encode(self.message)
        return table.fold(self.subject, self.message, payload, self.epoch)  # type: ignore[arg-type]


class NodeExporter:
    """The watcher of one cluster, and its stream: the last message of each subject, in order."""

    def __init__(
        self, cluster: ClusterId = EAST, announced: ClusterAnnounced = ANNOUNCED, epoch: int = 1
    ) -> None:
        self.cluster, self.announced, self.epoch = cluster, announced, epoch
        self.left = False
        self.stream: dict[Subject, Published] = {}

    def announce(self, name: str, node: NodeAnnounced) -> Published:
        """Announce a node."""
        return self.publish(self.subject(name), node)

    def withdraw(self, name: str) -> Published:
        """Withdraw a node."""
        return self.publish(self.subject(name), WITHDRAWALS[Kind.NODE])

    def lease(
        self, *, digests: bool = True, announced: ClusterAnnounced | None = None
    ) -> Published:
        """Publish the cluster's own message, with the digest of what the stream holds."""
        where = Subject(cluster=self.cluster, kind=Kind.CLUSTER, name=self.cluster)
        if self.left:
            return self.publish(where, WITHDRAWALS[Kind.CLUSTER])
        self.announced = announced or self.announced
        said = self._digests() if digests else None
        return self.publish(where, msgspec.structs.replace(self.announced, digests=said))

    def leave(self) -> list[Published]:
        """Withdraw every node, and say that the cluster has left, in a new incarnation."""
        self.epoch, self.left = self.epoch + 1, True
        return [*(self.publish(s, WITHDRAWALS[s.kind]) for s in self._live()), self.lease()]

    def come_back(self) -> None:
        """Take part again, in a new incarnation."""
        self.epoch, self.left = self.epoch + 1, False

    def publish(self, subject: Subject, message: Message) -> Published:
        """Let the stream hold the message as the last of its subject."""
        published = Published(subject=subject, message=message, epoch=self.epoch)
        self.stream.pop(subject, None)
        self.stream[subject] = published
        return published

    def replay_into(self, table: NodeTable, limit: int | None = None) -> set[str]:
        """Replay the stream whole, or (interrupted) only so many messages of it."""
        table.begin_replay()
        messages = list(self.stream.values())
        touched = fold_all(table, messages[:limit])
        if limit is None or limit >= len(messages):
            touched |= table.end_replay()
        return touched

    def subject(self, name: str) -> Subject:
        """Return where a node is announced."""
        return Subject(cluster=self.cluster, kind=Kind.NODE, name=name)

    def _live(self) -> list[Subject]:
        nodes = (s for s in self.stream if s.kind is Kind.NODE)
        return [s for s in nodes if not is_withdrawal(self.stream[s].message)]

    def _digests(self) -> dict[str, object]:
        live: LiveSet[str] = LiveSet()
        for subject in self._live():
            payload = encode(self.stream[subject].message)
            live.put(subject.name, fingerprint(str(subject), payload))
        return {"node": live.digest()}


def fold_all(table: NodeTable, messages: Iterable[Published]) -> set[str]:
    """Let a table take messages in order; return all that they touched."""
    touched: set[str] = set()
    for message in messages:
        touched |= message.fold_into(table)
    return touched
