"""What one exporting cluster exports, folded from its messages. Pure.

Nothing is removed without evidence: a withdrawal, or a replay whose digest the exporting cluster
confirms.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from typing_extensions import override

from heliograph.contract.digest import fingerprint
from heliograph.contract.messages import (
    AnyMessage,
    ClusterAnnounced,
    ClusterWithdrawn,
    EndpointsExported,
    EndpointsWithdrawn,
    ServiceExported,
    ServiceWithdrawn,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.table import Table

KINDS: Final = (Kind.SERVICE, Kind.ENDPOINTS)
"""What the reflector consumes beside the cluster's own message."""


class ServiceKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """A Service, by namespace and name: the same in every cluster."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        """Return the key as kubectl users write it."""
        return f"{self.namespace}/{self.name}"


class Presence(enum.Enum):
    """What is known of an export of one cluster."""

    EXPORTED = "exported"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster's export of one Service.

    Attributes:
        cluster: The exporting cluster.
        announced: The ranges it declares.
        service: The Service.
        slices: Its EndpointSlices by name; empty unless mirrors use pod addresses.
        whole: Whether these are all that there are; after a restart, a Service may be heard before
            its backends.
    """

    cluster: ClusterId
    announced: ClusterAnnounced
    service: ServiceExported
    slices: Mapping[str, EndpointsExported]
    whole: bool = True


class ImportTable(Table[ServiceKey]):
    """The exports of one cluster."""

    name = "exports"
    kinds = KINDS

    @override
    def __init__(self, cluster: ClusterId, *, left_at: int | None = None) -> None:
        super().__init__(cluster, left_at=left_at)
        self._forget()

    def _forget(self) -> None:
        """Know no export."""
        self._services: dict[ServiceKey, ServiceExported] = {}
        self._endpoints: dict[ServiceKey, dict[str, EndpointsExported]] = {}
        self._service_of_slice: dict[tuple[str, str], ServiceKey] = {}
        self._withdrawn: dict[ServiceKey, int] = {}  # by which incarnation of the publisher
        self._unreadable: set[ServiceKey] = set()
        self._unconfirmed: set[Subject] = set()

    def keys(self) -> Iterator[ServiceKey]:
        """Yield all Services that this cluster exports."""
        return iter(tuple(self._services))

    def wholly_heard(self) -> set[ServiceKey]:
        """Return the Services that say all by themselves, without EndpointSlices."""
        return {key for key, s in self._services.items() if s.endpoints == "cluster-ip"}

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self._services

    @property
    @override
    def size(self) -> int:
        """How many Services the cluster exports."""
        return len(self._services)

    def presence(self, key: ServiceKey) -> Presence:
        """Return whether the cluster exports the Service, does not, or has not said so yet."""
        if self.left_at is not None:
            return Presence.WITHDRAWN
        if key in self._services:
            return Presence.EXPORTED if self.announced else Presence.UNKNOWN
        if self._has_last_word(key) or (self.complete and key not in self._unreadable):
            return Presence.WITHDRAWN
        return Presence.UNKNOWN

    def export(self, key: ServiceKey) -> Export | None:
        """Return the cluster's export of the Service."""
        service = self._services.get(key)
        if service is None or self.announced is None:
            return None
        return Export(
            cluster=self.cluster,
            announced=self.announced,
            service=service,
            slices=self._endpoints.get(key, {}),
            whole=self.complete or service.endpoints == "cluster-ip",
        )

    @override
    def begin_replay(self) -> None:
        """A replay of the whole stream begins: what it does not bring may be gone."""
        self._unconfirmed = self._known_subjects()
        self._unreadable = set()
        self.evidence.begin_replay()

    @override
    def end_replay(self) -> set[ServiceKey]:
        """The replay is over; return what it showed to be gone.

        Withdrawals by the newest incarnation count, and all else that a digest confirms.
        """
        confirmed = self.evidence.end_replay()
        withdrawn = set(filter(self._has_last_word, self._withdrawn))
        return withdrawn | (self._drop_unconfirmed() if confirmed else set())

    @override
    def fold(
        self, subject: Subject, message: AnyMessage, payload: bytes, epoch: int
    ) -> set[ServiceKey]:
        """Take one message; return the Services that it touches.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        if not self.evidence.heeds(epoch, message):
            return set()
        if isinstance(message, ClusterWithdrawn):
            return self._fold_departure(epoch)
        if isinstance(message, ClusterAnnounced):
            return self._fold_cluster(message)
        live = not isinstance(message, ServiceWithdrawn | EndpointsWithdrawn)
        self._count(subject, payload if live else None)
        return self._fold_export(subject, message)

    @override
    def fold_unreadable(self, subject: Subject, payload: bytes, epoch: int) -> None:
        """Take a message that this version cannot read: what it is about is there, unchanged.

        It counts in the digest, so a newer watcher's messages raise no doubt.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        if not self.evidence.heeds(epoch):
            return
        if subject.kind in KINDS:
            self._count(subject, payload)
        if subject.kind is Kind.SERVICE:
            key = ServiceKey(subject.namespace, subject.name)
            self._unreadable.add(key)
            self._withdrawn.pop(key, None)

    def _has_last_word(self, key: ServiceKey) -> bool:
        """Tell whether the newest incarnation withdrew the Service.

        A replay brings words of all incarnations, and one that was replaced may have spoken last:
        only the end of the replay tells which is the newest.
        """
        return not self.evidence.replaying and self._withdrawn.get(key) == self.evidence.epoch

    def _fold_departure(self, epoch: int) -> set[ServiceKey]:
        touched = set(self._services)
        self.announced = None
        self.evidence.depart(epoch)
        self._forget()
        return touched

    def _fold_cluster(self, message: ClusterAnnounced) -> set[ServiceKey]:
        before, self.announced = self.announced, message
        touched = set(self._services) if _ranges(before) != _ranges(message) else set()
        confirmed = self.evidence.hear(message)
        return touched | (self._drop_unconfirmed() if confirmed else set())

    def _drop_unconfirmed(self) -> set[ServiceKey]:
        """Drop what the replay did not bring, and a digest confirms not to be there."""
        touched = {key for subject in self._unconfirmed for key in self._drop(subject)}
        self._unconfirmed, self._withdrawn = set(), {}
        return touched

    def _count(self, subject: Subject, payload: bytes | None) -> None:
        """Take into account that a message is live, or (None) that it is withdrawn."""
        self._unconfirmed.discard(subject)
        place = ServiceKey(subject.namespace, subject.name)  # shorter than the subject's text
        counted = None if payload is None else fingerprint(str(subject), payload)
        self.evidence.count(subject.kind, place, counted)

    def _fold_export(self, subject: Subject, message: AnyMessage) -> set[ServiceKey]:
        key = ServiceKey(subject.namespace, subject.name)
        match message:
            case ServiceExported():
                self._services[key] = message
                self._withdrawn.pop(key, None)
                self._unreadable.discard(key)
                return {key} if self.announced else set()  # the ranges, when known, touch all
            case ServiceWithdrawn():
                self._services.pop(key, None)
                self._withdrawn[key] = self.evidence.epoch
                self._unreadable.discard(key)
                return {key}
            case EndpointsExported():
                return self._put_slice(subject, message)
            case EndpointsWithdrawn():
                return self._drop_slice(subject)
            case _:
                return set()

    def _put_slice(self, subject: Subject, message: EndpointsExported) -> set[ServiceKey]:
        touched = self._drop_slice(subject)
        key = ServiceKey(subject.namespace, message.service)
        self._endpoints.setdefault(key, {})[subject.name] = message
        self._service_of_slice[subject.namespace, subject.name] = key
        return touched | {key}

    def _drop_slice(self, subject: Subject) -> set[ServiceKey]:
        key = self._service_of_slice.pop((subject.namespace, subject.name), None)
        if key is None:
            return set()
        siblings = self._endpoints[key]
        del siblings[subject.name]
        if not siblings:
            del self._endpoints[key]
        return {key}

    def _drop(self, subject: Subject) -> set[ServiceKey]:
        if subject.kind is Kind.ENDPOINTS:
            return self._drop_slice(subject)
        key = ServiceKey(subject.namespace, subject.name)
        self._services.pop(key, None)
        return {key}

    def _known_subjects(self) -> set[Subject]:
        services = {self._subject(Kind.SERVICE, key.namespace, key.name) for key in self._services}
        slices = {self._subject(Kind.ENDPOINTS, *where) for where in self._service_of_slice}
        return services | slices

    def _subject(self, kind: Kind, namespace: str, name: str) -> Subject:
        return Subject(cluster=self.cluster, kind=kind, namespace=namespace, name=name)


def _ranges(message: ClusterAnnounced | None) -> tuple[tuple[str, ...], ...] | None:
    return None if message is None else (message.service_cidrs, message.pod_cidrs)
