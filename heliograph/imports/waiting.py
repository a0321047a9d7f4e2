"""Who waits for a thing: the messages that made it be looked at, and what they are told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from heliograph.bus import Connection
from heliograph.clock import now_ns
from heliograph.contract.feedback import MOST_STEPS, Feedback, Step, encode_feedback
from heliograph.contract.headers import TRACEPARENT
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import feedback_subject
from heliograph.errors import HeliographError
from heliograph.imports.consume import Cause
from heliograph.metrics import Metrics
from heliograph.telemetry import NO_SPAN, Attributes, DeferredSpan, Span, Telemetry

K = TypeVar("K", bound=Hashable)

_NS = 1e9
_MOST_LINKS: Final = 32
"""Changes that one piece of work refers to; more of them would tell nobody anything."""


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
        span: Its consumption.
        since_s: When it was delivered, seconds of a clock that never goes back.
    """

    cause: Cause
    connection: Connection
    span: Span | DeferredSpan
    since_s: float


class Waiting(Generic[K]):
    """The messages that wait, by thing and exporting cluster; a newer one replaces an older."""

    def __init__(self, importing: ClusterId, telemetry: Telemetry, metrics: Metrics) -> None:
        """Prepare; `importing` is the own cluster."""
        self._importing = importing
        self._telemetry = telemetry
        self._metrics = metrics
        self._pending: dict[K, dict[ClusterId, Pending]] = {}
        self._steps: dict[K, deque[Step]] = {}

    def expect(self, key: K, connection: Connection, cause: Cause) -> None:
        """Remember a message until the thing is in place."""
        waiting = self._pending.setdefault(key, {})
        superseded = waiting.pop(cause.subject.cluster, None)
        if superseded is not None:
            superseded.span.end()
        waiting[cause.subject.cluster] = Pending(
            cause=cause, connection=connection, span=self._span(cause), since_s=time.monotonic()
        )

    def _span(self, cause: Cause) -> Span | DeferredSpan:
        """Return the consumption of a message: part of its change's trace, unless it is past.

        A replay leaves no span where nothing is to be done, which is mostly so.
        """
        name, attributes = f"consume {cause.subject.kind}", self._attributes(cause)
        if cause.live and not cause.late:
            return self._telemetry.start(name, parent=cause.traceparent, attributes=attributes)
        links = (cause.traceparent,)
        if cause.live:
            return self._telemetry.start(name, links=links, attributes=attributes)
        return self._telemetry.deferred(name, start_ns=now_ns(), links=links, attributes=attributes)

    def _attributes(self, cause: Cause) -> Attributes:
        return {
            "messaging.system": "nats",
            "messaging.destination.name": str(cause.subject),
            "messaging.message.id": cause.event_id,
            "heliograph.exporting": cause.subject.cluster,
            "heliograph.importing": self._importing,
        }

    @contextmanager
    def step(self, name: str, keys: Collection[K]) -> Iterator[Span]:
        """Run a block as one step of those who wait for these things, and measure it.

        It is part of the trace of the first of them, and refers to the others'. If nobody waits
        but for replays, an "apply" is a trace of its own, and anything else leaves no span.
        """
        writes = name == "apply"
        waiting = tuple(islice(self._spans(keys, begin=writes), _MOST_LINKS))
        if not (waiting or writes):
            yield NO_SPAN
            return
        begun_s = time.monotonic()
        parent, *others = waiting or ("",)
        with self._telemetry.span(name, parent=parent, links=others) as span:
            try:
                yield span
            finally:
                self._note(keys, Step(name=name, begun_s=begun_s, ended_s=time.monotonic()))

    def _spans(self, keys: Iterable[K], *, begin: bool) -> Iterator[str]:
        """Yield the spans of those who wait; of replays, only those that exist, or all `begin`."""
        for key in keys:
            for pending in self._pending.get(key, {}).values():
                if begin or pending.span.begun:
                    yield pending.span.traceparent

    def _note(self, keys: Iterable[K], step: Step) -> None:
        for key in keys:
            if key in self._pending:
                self._steps.setdefault(key, deque(maxlen=MOST_STEPS)).append(step)

    def keys(self) -> tuple[K, ...]:
        """Return the things that somebody waits for."""
        return tuple(self._pending)

    async def settle(self, key: K, refusals: Iterable[Refused]) -> None:
        """Tell those who wait that the thing is as it should be, or why it is not."""
        refused: dict[ClusterId, Refused] = {}
        for refusal in refusals:
            refused.setdefault(refusal.exporting, refusal)
        steps = self._steps.pop(key, ())
        for exporting, pending in self._pending.pop(key, {}).items():
            why = refused.get(exporting)
            if why is not None and why.reason:
                pending.span.note(heliograph_refused=why.reason)
            pending.span.end()
            if pending.cause.live:
                self._observe(pending.cause)
                await self._send(pending, why, steps)

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
        self._steps.clear()

    def _observe(self, cause: Cause) -> None:
        elapsed_s = max(0, now_ns() - cause.observed_at_ns) / _NS
        subject = cause.subject
        histogram = self._metrics.propagation
        histogram.labels(subject.cluster, self._importing, subject.kind).observe(elapsed_s)

    async def _send(self, pending: Pending, refused: Refused | None, steps: Iterable[Step]) -> None:
        """Send feedback, at most once: it is a courtesy, and nothing depends on it."""
        feedback = Feedback(
            event_id=pending.cause.event_id,
            outcome="refused" if refused else "applied",
            seconds=time.monotonic() - pending.since_s,
            reason=refused.reason if refused else "",
            message=refused.message if refused else "",
            steps=tuple(_since(pending.since_s, steps)),
        )
        await self._publish(pending.connection, pending.cause, feedback, pending.span.traceparent)

    async def _publish(
        self, connection: Connection, cause: Cause, feedback: Feedback, traceparent: str = ""
    ) -> None:
        subject = feedback_subject(self._importing, cause.subject)
        headers = {TRACEPARENT: traceparent} if traceparent else None
        with suppress(HeliographError):
            await connection.publish(subject, encode_feedback(feedback), headers)


def _since(delivered_s: float, steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps that began after a delivery, by the seconds since then."""
    for step in steps:
        if step.begun_s >= delivered_s:
            begun_s, ended_s = step.begun_s - delivered_s, step.ended_s - delivered_s
            yield Step(name=step.name, begun_s=round(begun_s, 6), ended_s=round(ended_s, 6))
