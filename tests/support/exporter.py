"""A model of an exporting cluster: its stream, and what a reader of it gets. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.contract.digest import LiveSet, fingerprint
from heliograph.contract.messages import (
    WITHDRAWALS,
    ClusterAnnounced,
    EndpointsExported,
    Message,
    ServiceExported,
    encode,
    is_withdrawal,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from services.reflector.table import KINDS, ImportTable, ServiceKey
from tests.support.mirrors import CLUSTER, EAST, KEY


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it was published."""

    subject: Subject
    message: Message
    epoch: int

    def fold_into(self, table: ImportTable) -> set[ServiceKey]:
        """Let a table take it."""
        payload = encode(self.message)
        return table.fold(self.subject, self.message, payload, self.epoch)


class ExporterModel:
    """The watcher of one cluster, and its stream: the last message of each subject, in order."""

    def __init__(
        self, cluster: ClusterId = EAST, announced: ClusterAnnounced = CLUSTER, epoch: int = 1
    ) -> None:
        self.cluster, self.announced, self.epoch = cluster, announced, epoch
        self.left = False
        self.stream: dict[Subject, Published] = {}

    def export(self, service: ServiceExported, key: ServiceKey = KEY) -> Published:
        """Publish an export."""
        return self.publish(self.service_subject(key), service)

    def withdraw(self, key: ServiceKey = KEY) -> Published:
        """Withdraw an export."""
        return self.publish(self.service_subject(key), WITHDRAWALS[Kind.SERVICE])

    def put_slice(
        self, item: EndpointsExported, name: str = "cart-1", namespace: str = KEY.namespace
    ) -> Published:
        """Publish a slice."""
        return self.publish(self.slice_subject(name, namespace), item)

    def drop_slice(self, name: str = "cart-1", namespace: str = KEY.namespace) -> Published:
        """Withdraw a slice."""
        subject = self.slice_subject(name, namespace)
        return self.publish(subject, WITHDRAWALS[Kind.ENDPOINTS])

    def lease(
        self, *, digests: bool = True, announced: ClusterAnnounced | None = None
    ) -> Published:
        """Publish the cluster's own message, with digests of what the stream holds."""
        where = Subject(cluster=self.cluster, kind=Kind.CLUSTER, name=self.cluster)
        if self.left:
            return self.publish(where, WITHDRAWALS[Kind.CLUSTER])
        self.announced = announced or self.announced
        message = msgspec.structs.replace(
            self.announced, digests=self.digests() if digests else None
        )
        return self.publish(where, message)

    def leave(self) -> list[Published]:
        """Withdraw everything, and say that the cluster has left, in a new incarnation."""
        self.epoch, self.left = self.epoch + 1, True
        live = [p.subject for p in self.stream.values() if not is_withdrawal(p.message)]
        exports = [subject for subject in live if subject.kind in KINDS]
        return [*(self.publish(s, WITHDRAWALS[s.kind]) for s in exports), self.lease()]

    def come_back(self) -> Published:
        """Take part again, in a new incarnation."""
        self.epoch, self.left = self.epoch + 1, False
        return self.lease()

    def publish(self, subject: Subject, message: Message) -> Published:
        """Let the stream hold the message as the last of its subject."""
        published = Published(subject=subject, message=message, epoch=self.epoch)
        self.stream.pop(subject, None)
        self.stream[subject] = published
        return published

    def digests(self) -> dict[str, object]:
        """Return the digests of what the stream holds."""
        live = {kind: LiveSet() for kind in KINDS}
        for subject, published in self.stream.items():
            if subject.kind in KINDS and not is_withdrawal(published.message):
                text, payload = str(subject), encode(published.message)
                live[subject.kind].put(text, fingerprint(text, payload))
        return {str(kind): live[kind].digest() for kind in KINDS}

    def lose(self) -> None:
        """Lose the whole stream."""
        self.stream.clear()

    def replay_into(self, table: ImportTable, limit: int | None = None) -> set[ServiceKey]:
        """Replay the stream whole, or (interrupted) only so many messages of it."""
        table.begin_replay()
        messages = list(self.stream.values())
        touched = fold_all(table, messages[:limit])
        if limit is None or limit >= len(messages):
            touched |= table.end_replay()
        return touched

    def service_subject(self, key: ServiceKey = KEY) -> Subject:
        """Return where a Service is announced."""
        where = {"namespace": key.namespace, "name": key.name}
        return Subject(cluster=self.cluster, kind=Kind.SERVICE, **where)

    def slice_subject(self, name: str, namespace: str = KEY.namespace) -> Subject:
        """Return where a slice is announced."""
        where = {"namespace": namespace, "name": name}
        return Subject(cluster=self.cluster, kind=Kind.ENDPOINTS, **where)


def fold_all(table: ImportTable, messages: Iterable[Published]) -> set[ServiceKey]:
    """Let a table take messages in order; return all that they touched."""
    touched: set[ServiceKey] = set()
    for message in messages:
        touched |= message.fold_into(table)
    return touched
