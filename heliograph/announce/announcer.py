"""Publishes each thing of a cluster when it differs from what the stream holds of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from heliograph.announce.reading import StreamReading, read_stream
from heliograph.announce.table import StreamTable, SubjectsByThing
from heliograph.bus import Connection, Publication, Publisher, Stored
from heliograph.clock import now_ns, rfc3339
from heliograph.contract.headers import TRACEPARENT, WITHDRAWAL_TTL_S, cloud_event_headers
from heliograph.contract.messages import (
    WITHDRAWALS,
    ClusterAnnounced,
    ClusterWithdrawn,
    Message,
    encode,
    message_type,
    vanishes,
)
from heliograph.contract.subjects import Kind, Subject, kind_of, parse_subject
from heliograph.metrics import Metrics
from heliograph.telemetry import DeferredSpan, Span, Telemetry


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a publication comes from.

    Attributes:
        seen_at_ns: When the change was seen in the cluster, nanoseconds since the Unix epoch.
        span: The watch line that caused it; None if nothing did.
        live: Whether a change caused it, and no comparison.
        thing: What is announced or withdrawn; None if that is not known.
    """

    seen_at_ns: int
    span: DeferredSpan | None = None
    live: bool = True
    thing: object = None


class Witness(Protocol):
    """Sees the publications that a change caused."""

    def sent(self, publication: Publication, origin: Origin, traceparent: str) -> None:
        """It leaves now; `traceparent` is what its message carries, empty without traces."""

    def stored(self, publication: Publication) -> None:
        """The bus has it now."""


class _Nobody:
    """Sees nothing."""

    def sent(self, publication: Publication, origin: Origin, traceparent: str) -> None:
        """Let it go by."""

    def stored(self, publication: Publication) -> None:
        """Let it go by."""


NOBODY: Final = _Nobody()


class Announcer:
    """Owner of some kinds of messages in the stream of one cluster.

    Attributes:
        publisher: Carries the publications; run it.
        stored: How many of them the bus has taken, leases not counted.
    """

    def __init__(
        self,
        connection: Connection,
        reading: StreamReading,
        *,
        telemetry: Telemetry,
        metrics: Metrics,
        on_doubt: Callable[[str], None],
        witness: Witness = NOBODY,
    ) -> None:
        """Begin an incarnation of the publisher, newer than any that left a message.

        Args:
            connection: The bus.
            reading: What an earlier incarnation left there.
            telemetry: Makes the spans of publications.
            metrics: Counts them.
            on_doubt: Hears why the stream may hold something else than what was published.
            witness: Sees every live publication.
        """
        self._connection, self._witness = connection, witness
        self._telemetry = telemetry
        self._metrics = metrics
        self._cluster, self._kinds, self._owned = reading.cluster, reading.kinds, reading.owned
        self._stream = StreamTable(reading.kinds)
        self._stream.reset(reading.live)
        self._things = SubjectsByThing()
        self._spans: dict[str, tuple[Publication, Span]] = {}
        self._events = self.stored = 0
        epoch = max(reading.newest_epoch + 1, now_ns() // 1000)
        self.publisher = Publisher(connection, epoch, self._settle, on_doubt)

    def announce(
        self,
        thing: object,
        messages: Mapping[Subject, Message],
        origin: Origin,
        *,
        again: bool = False,
    ) -> None:
        """Let the stream hold exactly `messages` of this thing; none withdraws it.

        What it holds already is published `again` only if asked for.
        """
        by_text = {str(subject): (subject, message) for subject, message in messages.items()}
        for lost in self._things.replace(thing, by_text):
            self._withdraw(lost, origin)
        for text, (subject, message) in by_text.items():
            if self._stream.offer(text, encode(message), backlog=not origin.live) or again:
                self._publish(text, subject, message, origin)

    def things(self) -> tuple[object, ...]:
        """Return the things that are announced."""
        return self._things.things()

    def withdraw_leftovers(self, origin: Origin) -> None:
        """Withdraw what the stream holds of things that are not announced."""
        for subject in self._stream.leftovers(self._things.all()):
            self._withdraw(subject, origin)

    async def compare(self) -> None:
        """Read what the stream holds, with nothing in flight; then announce everything again."""
        async with self.publisher.quiet():
            where = self._connection, self._cluster
            reading = await read_stream(*where, self._kinds, self._owned)
            self._stream.reset(reading.live)

    async def renew_lease(
        self, message: ClusterAnnounced | ClusterWithdrawn, *, whole: bool = True
    ) -> bool:
        """Publish the cluster's own message, with digests of what the stream holds.

        Args:
            message: Without digests.
            whole: Whether all that there is was announced.

        Returns:
            Whether nothing is missing in the stream; only then an announcement carries digests.

        Raises:
            HeliographError: The server refused it.
        """
        subject = Subject(cluster=self._cluster, kind=Kind.CLUSTER, name=self._cluster)
        async with self.publisher.quiet():
            complete = whole and self._stream.complete
            if complete and isinstance(message, ClusterAnnounced):
                message = msgspec.structs.replace(message, digests=self._stream.digests())
            origin = Origin(seen_at_ns=now_ns())
            publication = self._publication(str(subject), subject, message, origin)
            await self.publisher.publish_now(publication)
        return complete

    def _settle(self, stored: Stored) -> None:
        """Take the stream's acknowledgement of one publication."""
        publication = stored.publication
        subject = publication.subject
        kind = kind_of(subject)
        self._metrics.publications.labels(kind).inc()
        if kind in self._kinds:
            self.stored += 1
            self._stream.settle(subject, None if publication.ttl_s else publication.payload)
        if subject in self._spans and self._spans[subject][0] is publication:
            self._end_span(subject)
        if publication.live and kind in self._kinds:
            self._witness.stored(publication)

    def _end_span(self, subject: str) -> None:
        _, span = self._spans.pop(subject, (None, None))
        if span is not None:
            span.end()

    def _withdraw(self, text: str, origin: Origin) -> None:
        if self._stream.offer(text, None, backlog=not origin.live):
            subject = parse_subject(text)
            self._publish(text, subject, WITHDRAWALS[subject.kind], origin)

    def _publish(self, text: str, subject: Subject, message: Message, origin: Origin) -> None:
        publication = self._publication(text, subject, message, origin)
        self._end_span(publication.subject)  # superseded
        span = self._telemetry.start(
            f"publish {message_type(message).removesuffix('.v1')}",
            parent=origin.span.traceparent if origin.span else "",
            attributes={
                "messaging.system": "nats",
                "messaging.destination.name": publication.subject,
            },
        )
        if traceparent := span.traceparent:
            headers = {**publication.headers, TRACEPARENT: traceparent}
            publication = msgspec.structs.replace(publication, headers=headers)
        self._spans[publication.subject] = publication, span
        if origin.live:
            self._witness.sent(publication, origin, traceparent)
        self.publisher.offer(publication)

    def _publication(
        self, text: str, subject: Subject, message: Message, origin: Origin
    ) -> Publication:
        """Return what is published; `text` is the subject's, which the tables keep as well."""
        self._events += 1
        observed_at = rfc3339(origin.seen_at_ns)
        headers = cloud_event_headers(subject, message, observed_at=observed_at)
        headers["ce-id"] = f"{self.publisher.epoch}-{self._events}"
        return Publication(
            subject=text,
            payload=encode(message),
            headers=headers,
            ttl_s=WITHDRAWAL_TTL_S if vanishes(message) else None,
            live=origin.live,
        )
