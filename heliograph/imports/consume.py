"""Reads the streams of other clusters into their tables, and finds those clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Final, Generic, TypeVar

import msgspec
import structlog

from heliograph.bus import (
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Interrupted,
    SnapshotBegun,
    SnapshotComplete,
    stream_names,
)
from heliograph.bus import (
    Message as BusMessage,
)
from heliograph.clock import now_ns, parse_rfc3339
from heliograph.contract.headers import OBSERVED_AT, TRACEPARENT, epoch_of, is_sampled
from heliograph.contract.messages import ClusterAnnounced, MalformedMessage, decode
from heliograph.contract.names import ClusterId, is_dns_label
from heliograph.contract.subjects import (
    STREAM_PREFIX,
    Kind,
    MalformedSubject,
    Subject,
    all_clusters_filter,
    kind_filter,
    parse_subject,
    stream_name,
)
from heliograph.errors import HeliographError, RetryableError, TerminalError
from heliograph.imports.evidence import StaleEpoch
from heliograph.imports.heard import Heard, heard
from heliograph.imports.table import Table
from heliograph.metrics import Metrics

K = TypeVar("K")

_DISCOVERY_S: Final = 5.0
_LATE_NS: Final = 10_000_000_000
"""A message that is older when it comes refers to the trace of its change, and is no part of it."""

_MOST_REPLAYED: Final = 10_000
"""Replayed messages that are kept for their traces, in one stream; a few megabytes."""

_log = structlog.get_logger()


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The message that made something be looked at.

    Attributes:
        subject: What it is about, and whose it is.
        observed_at_ns: When the exporting cluster's watcher saw the change, its clock.
        traceparent: The span of its publication; empty if there was none.
        event_id: Which publication it was (`ce-id`).
        live: Whether it came as a change, and not with a replay.
        late: Whether it had been stored for so long that it is like a replay to its trace; by the
            clocks of the bus and of this machine.
    """

    subject: Subject
    observed_at_ns: int
    traceparent: str
    event_id: str
    live: bool
    late: bool = False


class ForeignMessage(TerminalError):
    """A message in the stream of one cluster, under the subject of another."""


class ImportBus(msgspec.Struct, frozen=True, kw_only=True):
    """A bus to import from.

    Attributes:
        connection: The connection to it.
        clusters: The clusters whose streams are there; empty to look for them.
    """

    connection: Connection
    clusters: tuple[ClusterId, ...] = ()


class Told(msgspec.Struct, Generic[K], frozen=True, kw_only=True):
    """Who hears what of one exporting cluster.

    Attributes:
        touched: The things that a message, or (None) the end of a replay, concerns.
        completed: It has said all that there is.
        mismatched: Its stream, read again, still holds something else than this message says.
        departed: It has left the ClusterSet, at this epoch; or (None) it is back.
        announced: What it says of itself, each time, and before what that touches.
        renewed: It renewed its lease: for how long, seconds, and when that was heard.
        replayed: A replayed message, told of only if its trace is recorded: what it is about was
            touched just now, by what came later in the replay.
    """

    touched: Callable[[set[K], Cause | None], None]
    completed: Callable[[ClusterId], None]
    mismatched: Callable[[Cause], Awaitable[None]]
    departed: Callable[[ClusterId, int | None], None] = lambda *_: None
    announced: Callable[[ClusterId, ClusterAnnounced], None] = lambda *_: None
    renewed: Callable[[ClusterId, float, Heard], None] = lambda *_: None
    replayed: Callable[[Cause], None] = lambda _: None


class Importer(Generic[K]):
    """Reads the stream of one cluster into a table, for ever.

    Attributes:
        lease: When the cluster renewed its lease last, on the loop's clock, and for how many
            seconds; None before that was heard.
    """

    def __init__(
        self,
        connection: Connection,
        cluster: ClusterId,
        table: Table[K],
        *,
        metrics: Metrics,
        told: Told[K],
    ) -> None:
        self._table, self._cluster = table, cluster
        self._metrics = metrics
        self.lease: tuple[float, float] | None = None
        self._told = told
        self._logged: set[str] = set()
        self._doubts = 0
        self._replayed: list[Cause] = []
        self._consumer = Consumer(
            connection,
            ConsumerSettings(
                stream=stream_name(cluster),
                filter_subjects=tuple(
                    kind_filter(cluster, k) for k in (Kind.CLUSTER, *table.kinds)
                ),
                name_prefix=metrics.program,
            ),
        )
        metrics.measure_import(table.name, self)

    @property
    def cluster(self) -> ClusterId:
        """The cluster."""
        return self._cluster

    @property
    def size(self) -> int:
        """How many things of it are known."""
        return self._table.size

    @property
    def complete(self) -> bool:
        """Whether all that it says was heard, and a digest confirmed that."""
        return self._table.complete

    @property
    def pending(self) -> int | None:
        """How many messages its stream holds for us still; None while nobody says."""
        return self._consumer.pending

    @property
    def heard_at_s(self) -> float | None:
        """When its stream gave a sign of life last, on the loop's clock; None if it never has."""
        return self._consumer.heard_at_s

    async def run(self) -> None:
        """Fold everything that comes; replay the stream on any doubt."""
        async with aclosing(self._consumer.events()) as events:
            async for event in events:
                match event:
                    case SnapshotBegun():
                        self._table.begin_replay()
                        self._replayed.clear()
                    case Delivery():
                        self._take(event)
                        if self._table.doubtful:
                            await self._doubt(event)
                    case SnapshotComplete():
                        self._fold(self._table.end_replay, None)
                    case Interrupted():
                        self._metrics.resyncs.labels(self._cluster).inc()
                        _log.info("replaying", exporting=self._cluster, reason=event.reason)

    def _take(self, delivery: Delivery) -> None:
        """Fold one message; one that cannot be used is counted, logged once, and harmless."""
        try:
            self._fold_delivery(self._subject(delivery), delivery)
        except (MalformedSubject, MalformedMessage, ForeignMessage, StaleEpoch) as error:
            self._reject(error)

    async def _doubt(self, delivery: Delivery) -> None:
        """Replay; if that was in vain, something is in the stream that its owner does not know."""
        self._consumer.resync("the digest of what was consumed is not the published one")
        self._doubts += 1
        if self._doubts > 1:
            await self._told.mismatched(_cause(self._subject(delivery), delivery))

    def _fold_delivery(self, subject: Subject, delivery: Delivery) -> None:
        epoch = epoch_of(delivery.headers) or 0
        try:
            message = decode(subject, delivery.payload)
        except MalformedMessage:
            self._table.fold_unreadable(subject, delivery.payload, epoch)
            raise
        cause = _cause(subject, delivery)
        self._fold(lambda: self._table.fold(subject, message, delivery.payload, epoch), cause)
        if isinstance(message, ClusterAnnounced) and self._table.announced is message:
            at = heard_now(delivery)
            self.lease = at.at_s, message.lease_s
            self._told.renewed(self._cluster, message.lease_s, at)

    def _subject(self, delivery: Delivery) -> Subject:
        """Return the subject; whoever may write into this stream speaks for its cluster only."""
        subject = parse_subject(delivery.subject)
        if subject.cluster != self._cluster:
            raise ForeignMessage(f"{subject} is in the stream of cluster {self._cluster}")
        return subject

    def _fold(self, fold: Callable[[], set[K]], cause: Cause | None) -> None:
        complete, left_at = self._table.complete, self._table.left_at
        announced = self._table.announced
        touched = fold()
        if self._table.announced is not None and self._table.announced is not announced:
            self._told.announced(self._cluster, self._table.announced)
        if touched:
            self._told.touched(touched, cause)
        self._tell_replayed(cause, touched=bool(touched))
        if self._table.left_at != left_at:
            self._told.departed(self._cluster, self._table.left_at)
        if self._table.complete:
            self._doubts = 0
        if self._table.complete and not complete:
            _log.info("replay confirmed", exporting=self._cluster, things=self._table.size)
            self._told.completed(self._cluster)

    def _tell_replayed(self, cause: Cause | None, *, touched: bool) -> None:
        """Keep replayed messages that touch nothing, until what comes later touches all of it."""
        if cause is None or cause.subject.kind is Kind.CLUSTER:
            replayed, self._replayed = (self._replayed, []) if touched else ([], self._replayed)
            for one in replayed:
                self._told.replayed(one)
        elif not (touched or cause.live) and is_sampled(cause.traceparent):
            self._replayed.append(cause)
            del self._replayed[_MOST_REPLAYED:]

    def _reject(self, error: HeliographError) -> None:
        reason = type(error).__name__
        self._metrics.rejected.labels(self._cluster, reason).inc()
        if reason not in self._logged:
            self._logged.add(reason)
            _log.warning(
                "message rejected", exporting=self._cluster, reason=reason, error=str(error)
            )


Found = Callable[[Connection, ClusterId], None]


class Discovery:
    """Tells of every cluster that has a stream on a bus, and of new ones within moments."""

    def __init__(self, bus: ImportBus, *, found: Found) -> None:
        self._bus = bus
        self._found = found
        self._known: set[str] = set()
        self._refused = ""
        self._heard = asyncio.Event()

    async def run(self) -> None:
        """Tell of the configured clusters, or of all that come up; for ever in that case."""
        if self._bus.clusters:
            self._tell(self._bus.clusters)
            return
        leases = all_clusters_filter(Kind.CLUSTER)
        subscription = await self._bus.connection.subscribe(leases, self._on_lease)
        try:
            while True:
                self._tell(await self._clusters())
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DISCOVERY_S):
                        await self._heard.wait()
                self._heard.clear()
        finally:
            await subscription.unsubscribe()

    def _on_lease(self, message: BusMessage) -> None:
        """Look at once when a cluster speaks that is not known."""
        if message.subject.split(".")[2] not in self._known:
            self._heard.set()

    async def _clusters(self) -> tuple[ClusterId, ...]:
        """Return the clusters that have a stream; none while the bus does not say."""
        try:
            found = await clusters_on(self._bus.connection)
        except HeliographError as error:
            self._log_refusal(error)
            return ()
        self._refused = ""
        return found

    def _log_refusal(self, error: HeliographError) -> None:
        """Log what waiting does not mend, once; other buses go on meanwhile."""
        if not isinstance(error, RetryableError) and str(error) != self._refused:
            self._refused = str(error)
            _log.error("clusters of a bus cannot be listed", error=self._refused)

    def _tell(self, clusters: Iterable[ClusterId]) -> None:
        for cluster in clusters:
            if cluster not in self._known:
                self._known.add(cluster)
                self._found(self._bus.connection, cluster)


async def clusters_on(connection: Connection) -> tuple[ClusterId, ...]:
    """Return the clusters that have a stream on a bus, in order.

    Raises:
        HeliographError: The bus does not say.
    """
    names = await stream_names(connection, all_clusters_filter(Kind.CLUSTER))
    ids = (name.removeprefix(STREAM_PREFIX) for name in names if name.startswith(STREAM_PREFIX))
    return tuple(ClusterId(name) for name in sorted(ids) if is_dns_label(name))


def heard_now(delivery: Delivery) -> Heard:
    """Return when a message came that is delivered just now."""
    return heard(
        delivery.stored_at_ns,
        replayed=delivery.in_snapshot,
        now_s=asyncio.get_running_loop().time(),
        now_ns=now_ns(),
    )


def _cause(subject: Subject, delivery: Delivery) -> Cause:
    observed_at_ns = parse_rfc3339(delivery.headers.get(OBSERVED_AT, ""))
    return Cause(
        subject=subject,
        observed_at_ns=now_ns() if observed_at_ns is None else observed_at_ns,
        traceparent=delivery.headers.get(TRACEPARENT, ""),
        event_id=delivery.headers.get("ce-id", ""),
        live=not delivery.in_snapshot,
        late=now_ns() - delivery.stored_at_ns > _LATE_NS,
    )
