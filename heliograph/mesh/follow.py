"""Follows the streams of clusters on one bus, and tells what changes: first what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

import msgspec
import structlog

from heliograph.bus import (
    BusEvent,
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Interrupted,
    SnapshotBegun,
    SnapshotComplete,
)
from heliograph.contract.messages import MalformedMessage
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    Kind,
    MalformedSubject,
    kind_filter,
    parse_subject,
    stream_name,
)
from heliograph.errors import HeliographError
from heliograph.imports.consume import Discovery, ImportBus, clusters_on
from heliograph.imports.evidence import StaleEpoch
from heliograph.mesh.event import MeshEvent
from heliograph.mesh.view import ClusterView, Said

_PREFIX: Final = "events"
_log = structlog.get_logger()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber wants to hear.

    Attributes:
        clusters: Of which clusters; empty for all, also those that come later.
        kinds: Of which kinds.
        namespaces: Only of these; empty for all, and for what has none.
        follow: Whether to go on after what is there.
    """

    clusters: tuple[ClusterId, ...] = ()
    kinds: tuple[Kind, ...] = tuple(Kind)
    namespaces: frozenset[str] = frozenset()
    follow: bool = True

    def has(self, event: MeshEvent) -> bool:
        """Tell whether an event is wanted."""
        return not self.namespaces or event.kind is None or event.namespace in self.namespaces


Events = asyncio.Queue[MeshEvent]
"""What was read and not taken yet. It is bounded: a slow subscriber slows its own reading down, and
nobody else; the stream keeps the last state of each thing, so nothing is lost by waiting."""


async def follow(connection: Connection, wanted: Wanted, events: Events) -> None:
    """Put every change into the queue; return only if nothing is to be followed."""
    following = _Following(connection, wanted, events)
    if wanted.follow:
        await following.run()
    else:
        await following.once()


class _Following:
    """The clusters of one bus."""

    def __init__(self, connection: Connection, wanted: Wanted, events: Events) -> None:
        self._connection, self._wanted, self._events = connection, wanted, events
        self._found: asyncio.Queue[ClusterId] = asyncio.Queue()
        bus = ImportBus(connection=connection, clusters=wanted.clusters)
        self._discovery = Discovery(bus, found=lambda _, cluster: self._found.put_nowait(cluster))

    async def run(self) -> None:
        """Follow all clusters, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._discovery.run())
            while True:
                tasks.create_task(self._cluster(await self._found.get()).run())

    async def once(self) -> None:
        """Tell what the clusters' streams hold, and return."""
        clusters = self._wanted.clusters or await clusters_on(self._connection)
        async with asyncio.TaskGroup() as tasks:
            for cluster in clusters:
                tasks.create_task(self._cluster(cluster).run())

    def _cluster(self, cluster: ClusterId) -> _Cluster:
        return _Cluster(self._connection, cluster, self._wanted, self._events)


class _Cluster:
    """The stream of one cluster."""

    def __init__(
        self, connection: Connection, cluster: ClusterId, wanted: Wanted, events: Events
    ) -> None:
        self._wanted, self._events = wanted, events
        self._view = ClusterView(cluster, wanted.kinds)
        self._rejected: set[str] = set()
        # Two filters at least: by a single one, permissions would have to name it.
        kinds = dict.fromkeys((Kind.CLUSTER, *wanted.kinds, Kind.NODE))
        self._consumer = Consumer(
            connection,
            ConsumerSettings(
                stream=stream_name(cluster),
                filter_subjects=tuple(kind_filter(cluster, kind) for kind in kinds),
                name_prefix=_PREFIX,
            ),
        )

    async def run(self) -> None:
        """Tell what changes; for ever, or until all is told that is there, or it cannot be read."""
        async with aclosing(self._consumer.events()) as read:
            async for event in read:
                for told in self._take(event):
                    if self._wanted.has(told):
                        await self._events.put(told)
                if self._view.doubtful:
                    self._consumer.resync("the digest of what was read is not the published one")
                ended = isinstance(event, SnapshotComplete | Interrupted)
                if ended and not self._wanted.follow:
                    return

    def _take(self, event: BusEvent) -> Iterator[MeshEvent]:
        match event:
            case SnapshotBegun():
                self._view.begin_replay()
            case Delivery():
                yield from self._take_delivery(event)
            case SnapshotComplete():
                yield from self._view.end_replay()
            case Interrupted(reason=reason):
                yield MeshEvent(change="interrupted", cluster=self._view.cluster, reason=reason)

    def _take_delivery(self, delivery: Delivery) -> Iterator[MeshEvent]:
        """Take one message; one that is not of the contract is logged once, and harmless."""
        try:
            subject = parse_subject(delivery.subject)
            if subject.cluster == self._view.cluster:
                said = Said(
                    subject=subject,
                    text=delivery.subject,
                    headers=delivery.headers,
                    payload=delivery.payload,
                    live=not delivery.in_snapshot,
                    stored_at_ns=delivery.stored_at_ns,
                )
                yield from self._view.take(said)
        except (MalformedSubject, MalformedMessage, StaleEpoch) as error:
            self._reject(error)

    def _reject(self, error: HeliographError) -> None:
        reason = type(error).__name__
        if reason not in self._rejected:
            self._rejected.add(reason)
            _log.warning("message rejected", cluster=self._view.cluster, error=str(error))
