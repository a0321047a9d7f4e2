"""The watcher, put together: follow the cluster, keep the stream equal to it, renew the lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from heliograph.announce.announcer import Announcer, Origin
from heliograph.announce.reading import read_stream
from heliograph.bus import Connection, StreamMissing
from heliograph.clock import now_ns
from heliograph.contract.feedback import Feedback
from heliograph.contract.messages import ClusterAnnounced, ClusterWithdrawn, Message
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.subjects import Kind, Subject
from heliograph.errors import HeliographError
from heliograph.health import Condition, all_hold
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import CONFIG_MAPS, ConfigMap, ObjectMeta
from heliograph.membership.configmap import follow, record_watch
from heliograph.membership.record import NAME, Membership
from heliograph.metrics import Metrics
from heliograph.progress.backlog import Backlog
from heliograph.pulse import Pulse
from heliograph.resolve import Resolver
from heliograph.telemetry import Telemetry
from services.watcher.announce import Announcement, NotExported, announce_service
from services.watcher.answering import TraceAnswering
from services.watcher.exports import Exports
from services.watcher.feedback import RoundTrips
from services.watcher.held import HeldNodes
from services.watcher.identity import claim_id, cluster_uid
from services.watcher.offer import announce_cluster, with_ranges_of
from services.watcher.refusals import Refusals
from services.watcher.remarks import Remarks
from services.watcher.settings import WatcherSettings
from services.watcher.stream import OwnStream
from services.watcher.table import NodeName, ServiceKey
from services.watcher.vitals import Vitals
from services.watcher.watch import ClusterTables, Thing

KINDS: Final = (Kind.NODE, Kind.SERVICE, Kind.ENDPOINTS)
"""What the watcher alone publishes, and keeps a digest of."""

_DRAIN_S: Final = 2.0
_FIRST_LEASE_S: Final = 0.05
"""How often the lease is renewed until the stream is complete: importers wait for its digest."""

_EXPIRE_S: Final = 1.0
"""How late it may be noticed that a node's agent is silent; looking costs a millisecond or two."""

_log = structlog.get_logger()


class Watcher:
    """Publishes what one cluster offers, until cancelled.

    Attributes:
        synced: Set once the stream was compared with the cluster for the first time.
        pulse: Beats while its work goes on.
    """

    def __init__(
        self,
        settings: WatcherSettings,
        client: KubeClient,
        connection: Connection,
        *,
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._cluster: ClusterId = parse_cluster_id(settings.cluster)
        self._client, self._uid = client, ""
        self._membership = Membership()
        self._rejoined = asyncio.Event()
        self._connection = connection
        self._stream = OwnStream(settings, self._cluster, connection)
        self._telemetry = telemetry
        self._metrics = metrics
        self._recorder = EventRecorder(client, "watcher", counted=metrics.count_event)
        self._decisions = record_watch(client, settings.namespace)
        self._exports = Exports(self._cluster, self._recorder)
        self.pulse = Pulse()
        self._lease_due = asyncio.Event()
        self._tables = ClusterTables(
            client,
            settings,
            touched=self._on_touched,
            ranges_changed=self._on_ranges_changed,
        )
        self._resolver = Resolver(self._tables.nodes.hosts, self._tables.answer)
        self._held = HeldNodes()
        self._announcer: Announcer | None = None
        self._doubt = asyncio.Event()
        self._refusals = Refusals(self._cluster, self._recorder, metrics)
        self.synced = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._remarks = Remarks(self._recorder, settings.namespace, uid_of=self._uid_of)
        self._round_trips = RoundTrips(metrics, telemetry, self._on_doubt, self._on_refused)
        self._vitals = Vitals(
            settings, connection, self._tables, self._decisions, self.synced.is_set
        )
        self._vitals.measure(metrics, lambda: self.pending)
        trail = self._round_trips.trail
        self._answering = TraceAnswering(connection, self._cluster, trail, self._is_exported)

    @property
    def ready(self) -> bool:
        """Whether the stream follows the cluster right now."""
        return all_hold(self.conditions())

    def conditions(self) -> tuple[Condition, ...]:
        """Return what that takes."""
        return self._vitals.conditions()

    @property
    def pending(self) -> int:
        """How many publications are on their way."""
        return self._announcer.publisher.pending if self._announcer else 0

    async def run(self) -> None:
        """Run until cancelled; what is on its way then is published first, within a bound."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.pulse.run())
            tasks.create_task(self._tables.follow())
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._resolver.run())
            tasks.create_task(self._follow_membership())
            tasks.create_task(self._answering.run())
            self._uid = await cluster_uid(self._client)
            await self._rejoined.wait()
            await self._round_trips.listen(self._connection, self._cluster)
            while True:
                await self._run_incarnation()

    async def _follow_membership(self) -> None:
        """Begin a new incarnation when this cluster leaves the ClusterSet, or comes back."""
        left: bool | None = None
        async for membership in follow(self._decisions, self._settings.namespace):
            self._membership = membership
            if membership.left != left:
                left = membership.left
                self._rejoined.set()

    async def _run_incarnation(self) -> None:
        """Announce until this cluster leaves the ClusterSet, or comes back.

        Each time with a new epoch, so that what was published before and turns up later is known to
        be old. The publisher ends last, when what it has on its way is published.
        """
        self._rejoined.clear()
        self._confirmed.clear()
        async with asyncio.TaskGroup() as publishing:
            announcer = await self._begin()
            publisher = publishing.create_task(announcer.publisher.run())
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = [
                        tasks.create_task(self._renew_lease(announcer)),
                        tasks.create_task(self._expire_nodes()),
                        tasks.create_task(self._compare(announcer)),
                    ]
                    await self._rejoined.wait()
                    for task in running:
                        task.cancel()
            finally:
                await announcer.publisher.drain(_DRAIN_S)
            publisher.cancel()

    async def _begin(self) -> Announcer:
        """Offer all that the stream lacks, once the id is ours and both sides are read.

        The stream is read while the cluster is listed: a restart is as quick as the slower of both.
        """
        async with self._stream.kept():
            lease_s = self._settings.lease_s
            await claim_id(self._connection, self._cluster, self._uid, lease_s=lease_s)
            reading = await read_stream(self._connection, self._cluster, KINDS)
        await self._tables.listed.wait()
        self._tables.remember(reading.live)
        self._exports.begin(reading.live)
        self._announcer = Announcer(
            self._connection,
            reading,
            telemetry=self._telemetry,
            metrics=self._metrics,
            on_doubt=self._on_doubt,
            witness=self._round_trips,
        )
        self._held.change()  # whatever an earlier watcher declared
        self._announce_all()
        return self._announcer

    def backlog(self) -> Backlog:
        """Return how many messages were stored, and how many are on their way."""
        stored = self._announcer.stored if self._announcer else 0
        return Backlog(stored, self.pending, "messages")

    async def caught_up(self) -> None:
        """Wait until the stream holds what the cluster offers, and a digest says so."""
        await self._confirmed.wait()

    def _on_touched(self, things: set[Thing], seen_at_ns: int) -> None:
        """Announce what a watch event touched, in a trace of its own."""
        if self._announcer is None or not things:
            return  # everything is announced once all is listed
        span = self._telemetry.deferred("watch", start_ns=seen_at_ns)
        self._announce(things, Origin(seen_at_ns=seen_at_ns, span=span))
        span.end()

    def _on_ranges_changed(self) -> None:
        self._held.change()
        self._lease_due.set()

    def _on_doubt(self, reason: str) -> None:
        _log.info("stream in doubt", cluster=self._cluster, reason=reason)
        self._doubt.set()

    def _on_refused(self, importing: ClusterId, about: Subject, said: Feedback) -> None:
        self._remarks.take(importing, about, said, now_s=time.monotonic())

    def _uid_of(self, about: Subject) -> str:
        """Return the UID of an exported Service: kubectl describes by it."""
        service = self._tables.services.service(ServiceKey(about.namespace, about.name))
        return "" if service is None else service.metadata.uid

    def _announce_all(self) -> None:
        """Announce everything, and withdraw what the stream holds beyond that."""
        assert self._announcer is not None  # noqa: S101 - run() made it
        origin = Origin(seen_at_ns=now_ns(), live=False)
        for thing in self._tables.things() | self._announced_things():
            self._announce({thing}, origin)
        if not self._held:  # the stream may hold what a held node says
            self._announcer.withdraw_leftovers(origin)
        self.synced.set()

    def _announced_things(self) -> set[Thing]:
        things = self._announcer.things() if self._announcer else ()
        return {t if isinstance(t, ServiceKey) else NodeName(str(t)) for t in things}

    def _announce(self, things: Iterable[Thing], origin: Origin) -> None:
        assert self._announcer is not None  # noqa: S101 - run() made it
        for thing in things:
            if isinstance(thing, ServiceKey) or not self._held.hold(thing, origin):
                about = msgspec.structs.replace(origin, thing=thing)
                self._announcer.announce(thing, self._messages(thing), about)

    def _messages(self, thing: Thing) -> dict[Subject, Message]:
        """Return all that is published of a thing; nothing once this cluster has left."""
        if self._membership.left:
            return {}
        if isinstance(thing, ServiceKey):
            return self._service_messages(thing)
        return self._node_messages(thing)

    def _is_exported(self, key: ServiceKey) -> bool:
        """Tell whether a Service is exported now."""
        service = self._tables.services.service(key)
        if service is None or self._membership.left:
            return False
        return isinstance(announce_service(self._cluster, service, ()), Announcement)

    def _service_messages(self, key: ServiceKey) -> dict[Subject, Message]:
        service = self._tables.services.service(key)
        if service is None:
            self._exports.withdraw(key)
            self._refusals.lift(key)
            self._refusals.forget(key)
            return {}
        slices = self._tables.services.slices(key)
        result = announce_service(self._cluster, service, slices)
        match result:
            case Announcement():
                self._exports.announce(key, service)
                self._refusals.lift(key)
                self._refusals.warn(key, service, result.warnings)
                return dict(result.messages)
            case NotExported():
                self._exports.withdraw(key)
                self._refusals.put(key, service, result)
                return {}
            case None:
                self._exports.withdraw(key)
                self._refusals.lift(key)
                return {}

    def _node_messages(self, name: NodeName) -> dict[Subject, Message]:
        announced = self._tables.nodes.announced(name)
        if announced is None:
            return {}
        return {Subject(cluster=self._cluster, kind=Kind.NODE, name=name): announced}

    async def _compare(self, announcer: Announcer) -> None:
        """Compare cluster and stream on every doubt, and from time to time; for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.compare_s):
                    await self._doubt.wait()
            self._doubt.clear()
            async with self._stream.kept():
                await announcer.compare()
                self._announce_all()  # at once: a lease would vouch for what the stream lacks

    async def _renew_lease(self, announcer: Announcer) -> None:
        message = self._cluster_message()
        while True:
            changes, held = self._held.changes, len(self._held)
            message = self._lease_after(message, announcer)
            try:
                complete = await announcer.renew_lease(message, whole=not held)
                self._vitals.renewed()
                if complete:
                    self._confirm()
                self._release(changes)
            except HeliographError as error:
                _log.warning("lease not renewed", cluster=self._cluster, error=str(error))
                if isinstance(error, StreamMissing):  # the publisher tells a lasting doubt once
                    self._on_doubt(str(error))
            await self._next_lease(soon=message != self._cluster_message())

    def _lease_after(
        self, before: ClusterAnnounced | ClusterWithdrawn, announcer: Announcer
    ) -> ClusterAnnounced | ClusterWithdrawn:
        """Return the next lease: ranges do not shrink before what was in them is withdrawn."""
        message = self._cluster_message()
        if announcer.publisher.pending or self._held:
            return with_ranges_of(before, message)
        return message

    def _release(self, changes: int) -> None:
        """Announce the nodes whose ranges are declared by now, and withdraw what is left over."""
        held = self._held.declared(changes)
        for node, origin in held.items():
            self._announce({node}, origin)
        if held and self._announcer is not None:
            self._announcer.withdraw_leftovers(Origin(seen_at_ns=now_ns(), live=False))

    async def _next_lease(self, *, soon: bool) -> None:
        """Wait until the lease is to be renewed: by time, or because the ranges changed."""
        usual = self._confirmed.is_set() and not soon
        period_s = self._settings.lease_period_s if usual else _FIRST_LEASE_S
        with suppress(TimeoutError):
            async with asyncio.timeout(period_s):
                await self._lease_due.wait()
        self._lease_due.clear()

    def _confirm(self) -> None:
        """The stream says what it should; whoever waits for the cluster to leave is told so."""
        self._confirmed.set()
        self._exports.stored()
        if self._membership.left:
            why = ("Left", f"{self._cluster} has withdrawn everything ({self._membership.left_at})")
            record = ConfigMap(metadata=ObjectMeta(name=NAME, namespace=self._settings.namespace))
            self._recorder.record(CONFIG_MAPS, record, "Normal", why)

    def _cluster_message(self) -> ClusterAnnounced | ClusterWithdrawn:
        if self._membership.left:
            return ClusterWithdrawn()
        return announce_cluster(self._settings, self._uid, self._tables)

    async def _expire_nodes(self) -> None:
        """Tell of nodes whose agent went silent: no event says that."""
        while True:
            await asyncio.sleep(_EXPIRE_S)
            self._tables.expire()
