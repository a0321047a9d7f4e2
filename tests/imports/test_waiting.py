from __future__ import annotations

import asyncio
from typing import cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from heliograph import telemetry
from heliograph.bus import Connection, Disconnected
from heliograph.contract.messages import Feedback, decode_feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.consume import Cause
from heliograph.imports.waiting import Waiting
from heliograph.metrics import Metrics
from services.reflector.mirror import Refusal
from tests.support.mirrors import EAST, HERE, KEY, SOUTH

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class FakeConnection:
    """A bus that keeps what is published; one that is away keeps nothing."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.feedback: list[tuple[str, Feedback | None]] = []

    async def publish(self, subject: str, payload: bytes) -> None:
        """Take feedback."""
        if self.away:
            raise Disconnected("publishing feedback")
        self.feedback.append((subject, decode_feedback(payload)))


class Traced:
    """What waits, and the spans of it that have ended."""

    def __init__(self, *, away: bool = False) -> None:
        self._exporter = InMemorySpanExporter()
        traces = telemetry.exporting("reflector", HERE, SimpleSpanProcessor(self._exporter))
        self.metrics = Metrics("reflector", HERE)
        self.waiting = Waiting(HERE, traces, self.metrics)
        self.bus = FakeConnection(away=away)

    def expect(
        self, event_id: str = "1-1", cluster: ClusterId = EAST, *, live: bool = True
    ) -> None:
        """Let a message wait."""
        where = {"namespace": KEY.namespace, "name": KEY.name}
        cause = Cause(
            subject=Subject(cluster=cluster, kind=Kind.SERVICE, **where),
            observed_at_ns=0,
            traceparent=TRACEPARENT,
            event_id=event_id,
            live=live,
        )
        self.waiting.expect(KEY, cast("Connection", self.bus), cause)

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._exporter.get_finished_spans()

    def settle(self, *refusals: Refusal) -> None:
        """Tell those who wait."""
        asyncio.run(self.waiting.settle(KEY, refusals))


def test_a_settled_message_ends_its_span_and_is_answered() -> None:
    """It belongs to the trace of the change that it tells of."""
    traced = Traced()
    traced.expect()
    assert traced.waiting.traceparent(KEY).startswith(TRACEPARENT[:35])

    traced.settle()

    (span,) = traced.ended
    assert (span.name, span.parent is not None) == ("process service", True)
    ((subject, feedback),) = traced.bus.feedback
    assert subject == "heliograph.feedback.v1.here.east.service.shop.cart"
    assert feedback is not None
    assert (feedback.event_id, feedback.outcome) == ("1-1", "applied")
    assert traced.waiting.traceparent(KEY) == ""


def test_a_refused_cluster_is_told_so() -> None:
    """The other one behind the same mirror is not."""
    traced = Traced()
    for cluster in (EAST, SOUTH):
        traced.expect(cluster=cluster)

    traced.settle(Refusal(exporting=SOUTH, reason="TypeConflict", message="…"))

    outcomes = {subject.split(".")[4]: f.outcome for subject, f in traced.bus.feedback if f}
    assert outcomes == {"east": "applied", "south": "refused"}


def test_a_newer_message_supersedes_an_older_one() -> None:
    """The older one's span ends, and only the newer one is answered."""
    traced = Traced()
    traced.expect("1-1")
    traced.expect("1-2")
    assert len(traced.ended) == 1

    traced.settle()

    assert [f.event_id for _, f in traced.bus.feedback if f] == ["1-2"]
    assert len(traced.ended) == 2


def test_a_replayed_message_only_links_to_its_trace() -> None:
    """A replay is no part of the change's past, and nobody measures the way back by it."""
    traced = Traced()
    traced.expect(live=False)

    traced.settle()

    (span,) = traced.ended
    assert (span.parent, len(span.links)) == (None, 1)
    assert traced.bus.feedback == []


def test_a_bus_that_is_away_costs_the_feedback_only() -> None:
    """It is a courtesy: nothing depends on it."""
    traced = Traced(away=True)
    traced.expect()

    traced.settle()

    assert len(traced.ended) == 1


def test_no_span_is_left_open_at_the_end() -> None:
    """Whoever stops ends what it began."""
    traced = Traced()
    traced.expect()
    traced.expect(cluster=SOUTH)

    traced.waiting.close()

    assert len(traced.ended) == 2
    assert traced.waiting.traceparent(KEY) == ""


def test_nobody_has_to_wait() -> None:
    """Most mirrors are looked at without a message."""
    traced = Traced()

    traced.settle()

    assert (traced.ended, traced.bus.feedback) == ((), [])
