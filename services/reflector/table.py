"""What one exporting cluster exports, folded from its messages. Pure.

Everything is rebuilt from the replay of the stream; nothing is removed without evidence: a
withdrawal, or a replay whose digest the exporting cluster confirms. So an empty, half-filled or
lost stream removes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from typing_extensions import override

from heliograph.contract.digest import LiveSet, fingerprint
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
from heliograph.errors import RetryableError

KINDS: Final = (Kind.SERVICE, Kind.ENDPOINTS)
"""What the reflector consumes beside the cluster's own message."""

_MISMATCHES_TO_DOUBT: Final = 2


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


class StaleEpoch(RetryableError):
    """A message of an earlier incarnation of the exporting cluster's watcher."""

    def __init__(self, cluster: ClusterId, epoch: int, newest: int) -> None:
        super().__init__(
            f"a message of incarnation {epoch} of cluster {cluster}'s watcher came after one of "
            f"{newest}, and is passed over; do two watchers run for that cluster?"
        )


class ImportTable:
    """The exports of one cluster.

    Attributes:
        cluster: The exporting cluster.
        announced: Its own message; None until one came.
        left_at: Epoch at which the cluster said that it left the ClusterSet; None while it has
            not. Nothing that it published before counts, wherever it comes from.
    """

    def __init__(self, cluster: ClusterId, *, left_at: int | None = None) -> None:
        self.cluster = cluster
        self.announced: ClusterAnnounced | None = None
        self.left_at = left_at
        self._confirmed = False
        self._forget()
        self._replaying = True
        self._candidate: ClusterAnnounced | None = None
        self._mismatches = 0
        self._epoch = 0

    def _forget(self) -> None:
        """Know no export."""
        self._services: dict[ServiceKey, ServiceExported] = {}
        self._endpoints: dict[ServiceKey, dict[str, EndpointsExported]] = {}
        self._service_of_slice: dict[tuple[str, str], ServiceKey] = {}
        self._withdrawn: dict[ServiceKey, int] = {}  # by which incarnation of the publisher
        self._unreadable: set[ServiceKey] = set()
        self._live: dict[Kind, LiveSet[ServiceKey]] = {kind: LiveSet() for kind in KINDS}
        self._unconfirmed: set[Subject] = set()

    @property
    def complete(self) -> bool:
        """Whether what is absent is not exported, by a whole replay that a digest confirmed."""
        return self._confirmed or self.left_at is not None

    @property
    def doubtful(self) -> bool:
        """Whether two digests running did not match: the stream must be replayed."""
        return self._mismatches >= _MISMATCHES_TO_DOUBT

    def keys(self) -> Iterator[ServiceKey]:
        """Yield all Services that this cluster exports."""
        return iter(tuple(self._services))

    def wholly_heard(self) -> set[ServiceKey]:
        """Return the Services that say all by themselves, without EndpointSlices."""
        return {key for key, s in self._services.items() if s.endpoints == "cluster-ip"}

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self._services

    @property
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

    def begin_replay(self) -> None:
        """A replay of the whole stream begins: what it does not bring may be gone."""
        self._unconfirmed = self._known_subjects()
        self._live = {kind: LiveSet() for kind in KINDS}
        self._unreadable = set()
        self._replaying, self._candidate = True, None
        self._mismatches = 0
        self._confirmed = False
        self._epoch = 0

    def end_replay(self) -> set[ServiceKey]:
        """The replay is over; return what it showed to be gone.

        Withdrawals by the newest incarnation count, and all else that a digest confirms.
        """
        self._replaying = False
        withdrawn = set(filter(self._has_last_word, self._withdrawn))
        return withdrawn | (self._confirm(self._candidate) if self._candidate else set())

    def fold(
        self, subject: Subject, message: AnyMessage, payload: bytes, epoch: int
    ) -> set[ServiceKey]:
        """Take one message; return the Services that it touches.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        if self._precedes_departure(epoch, message):
            return set()
        self._refuse_stale(epoch)
        self._epoch = epoch
        if isinstance(message, ClusterWithdrawn):
            return self._fold_departure(epoch)
        if isinstance(message, ClusterAnnounced):
            self._fold_return()
            return self._fold_cluster(message)
        live = not isinstance(message, ServiceWithdrawn | EndpointsWithdrawn)
        self._count(subject, payload if live else None)
        return self._fold_export(subject, message)

    def fold_unreadable(self, subject: Subject, payload: bytes, epoch: int) -> None:
        """Take a message that this version cannot read: what it is about is there, unchanged.

        It counts in the digest, so a newer watcher's messages raise no doubt.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        if self._precedes_departure(epoch):
            return
        self._refuse_stale(epoch)
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
        return not self._replaying and self._withdrawn.get(key) == self._epoch

    def _refuse_stale(self, epoch: int) -> None:
        if epoch < self._epoch:
            self._candidate = None  # it stands in the place of something that came after
            raise StaleEpoch(self.cluster, epoch, self._epoch)

    def _precedes_departure(self, epoch: int, message: AnyMessage | None = None) -> bool:
        """Tell whether a message was published before the cluster left; so it means nothing now.

        Whoever leaves is a new incarnation, and so is whoever comes back.
        """
        if self.left_at is None:
            return False
        return epoch < self.left_at or (
            epoch == self.left_at and isinstance(message, ClusterAnnounced)
        )

    def _fold_departure(self, epoch: int) -> set[ServiceKey]:
        """The cluster has left: that is evidence about everything, until a newer incarnation."""
        touched = set(self._services)
        self.announced = None
        self.left_at = epoch if self.left_at is None else self.left_at
        self._forget()
        return touched

    def _fold_return(self) -> None:
        """The cluster is back. A replay brings what was passed over while it was away."""
        if self.left_at is not None:
            self.left_at = None
            self._mismatches = _MISMATCHES_TO_DOUBT

    def _fold_cluster(self, message: ClusterAnnounced) -> set[ServiceKey]:
        before, self.announced = self.announced, message
        touched = set(self._services) if _ranges(before) != _ranges(message) else set()
        if self._replaying:
            self._candidate = message
            return touched
        return touched | self._confirm(message)

    def _confirm(self, message: ClusterAnnounced) -> set[ServiceKey]:
        """Compare digests; when they match, what is still unconfirmed is gone."""
        if message.digests is None:
            return set()
        if any(message.digests.get(kind) != self._live[kind].digest() for kind in KINDS):
            self._mismatches += 1
            return set()
        self._mismatches = 0
        self._confirmed = True
        touched = {key for subject in self._unconfirmed for key in self._drop(subject)}
        self._unconfirmed, self._withdrawn = set(), {}
        return touched

    def _count(self, subject: Subject, payload: bytes | None) -> None:
        """Take into account that a message is live, or (None) that it is withdrawn."""
        self._candidate = None
        self._unconfirmed.discard(subject)
        live = self._live[subject.kind]
        place = ServiceKey(subject.namespace, subject.name)  # shorter than the subject's text
        if payload is None:
            live.drop(place)
        else:
            live.put(place, fingerprint(str(subject), payload))

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
                self._withdrawn[key] = self._epoch
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
