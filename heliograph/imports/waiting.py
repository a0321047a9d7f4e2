"""Who waits for a thing: the messages that made it be looked at, and what they are told."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import msgspec

from heliograph.bus import Connection
from heliograph.clock import now_ns
from heliograph.contract.messages import Feedback, encode_feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import feedback_subject
from heliograph.errors import HeliographError
from heliograph.imports.consume import Cause
from heliograph.metrics import Metrics
from heliograph.telemetry import Span, Telemetry

K = TypeVar("K", bound=Hashable)

_NS = 1e9


class Refused(Protocol):
    """Why something of a cluster is not taken, or not wholly."""

    @property
    def exporting(self) -> ClusterId:
        """The cluster concerned."""

    @property
    def reason(self) -> str:
        """One CamelCase word."""

    @property
    def message(self) -> str:
        """One sentence for people."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """One message that is not carried out yet.

    Attributes:
        cause: The message.
        connection: The bus that it came from.
        span: Its processing.
        since_ns: When it was delivered, nanoseconds since the Unix epoch.
    """

    cause: Cause
    connection: Connection
    span: Span
    since_ns: int


class Waiting(Generic[K]):
    """The messages that wait, by thing and exporting cluster; a newer one replaces an older."""

    def __init__(self, importing: ClusterId, telemetry: Telemetry, metrics: Metrics) -> None:
        self._importing = importing
        self._telemetry = telemetry
        self._metrics = metrics
        self._pending: dict[K, dict[ClusterId, Pending]] = {}

    def expect(self, key: K, connection: Connection, cause: Cause) -> None:
        """Remember a message until the thing is in place."""
        waiting = self._pending.setdefault(key, {})
        superseded = waiting.pop(cause.subject.cluster, None)
        if superseded is not None:
            superseded.span.end()
        span = self._telemetry.start(
            f"process {cause.subject.kind}",
            parent=cause.traceparent if cause.live else "",
            link="" if cause.live else cause.traceparent,
            attributes={
                "messaging.system": "nats",
                "messaging.destination.name": str(cause.subject),
                "heliograph.importing": self._importing,
            },
        )
        waiting[cause.subject.cluster] = Pending(
            cause=cause, connection=connection, span=span, since_ns=now_ns()
        )

    def traceparent(self, key: K) -> str:
        """Return the span that writes for this thing belong to; empty if nobody waits."""
        waiting = self._pending.get(key)
        return next(iter(waiting.values())).span.traceparent if waiting else ""

    def keys(self) -> tuple[K, ...]:
        """Return the things that somebody waits for."""
        return tuple(self._pending)

    async def settle(self, key: K, refusals: Iterable[Refused]) -> None:
        """Tell those who wait that the thing is as it should be, or why it is not."""
        refused: dict[ClusterId, Refused] = {}
        for refusal in refusals:
            refused.setdefault(refusal.exporting, refusal)
        for exporting, pending in self._pending.pop(key, {}).items():
            pending.span.end()
            if pending.cause.live:
                self._observe(pending.cause)
                await self._send(pending, refused.get(exporting))

    async def complain(self, connection: Connection, cause: Cause) -> None:
        """Tell an exporting cluster that its stream holds something else than its message says."""
        feedback = Feedback(event_id=cause.event_id, outcome="mismatched", seconds=0)
        await self._publish(connection, cause, feedback)

    def close(self) -> None:
        """Tell nobody; the work on these messages ends here."""
        for waiting in self._pending.values():
            for pending in waiting.values():
                pending.span.end()
        self._pending.clear()

    def _observe(self, cause: Cause) -> None:
        elapsed_s = max(0, now_ns() - cause.observed_at_ns) / _NS
        subject = cause.subject
        histogram = self._metrics.propagation
        histogram.labels(subject.cluster, self._importing, subject.kind).observe(elapsed_s)

    async def _send(self, pending: Pending, refused: Refused | None) -> None:
        """Send feedback, at most once: it is a courtesy, and nothing depends on it."""
        feedback = Feedback(
            event_id=pending.cause.event_id,
            outcome="refused" if refused else "applied",
            seconds=(now_ns() - pending.since_ns) / _NS,
            reason=refused.reason if refused else "",
            message=refused.message if refused else "",
        )
        await self._publish(pending.connection, pending.cause, feedback)

    async def _publish(self, connection: Connection, cause: Cause, feedback: Feedback) -> None:
        subject = feedback_subject(self._importing, cause.subject)
        with suppress(HeliographError):
            await connection.publish(subject, encode_feedback(feedback))
