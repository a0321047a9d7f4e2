from __future__ import annotations

import asyncio
from typing import cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from heliograph import telemetry
from heliograph.bus import Connection, Disconnected
from heliograph.contract.feedback import Feedback, decode_feedback
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
        self.headers: list[dict[str, str]] = []

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Take feedback."""
        if self.away:
            raise Disconnected("publishing feedback")
        self.headers.append(headers or {})
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
        self,
        event_id: str = "1-1",
        cluster: ClusterId = EAST,
        *,
        live: bool = True,
        late: bool = False,
    ) -> None:
        """Let a message wait."""
        where = {"namespace": KEY.namespace, "name": KEY.name}
        cause = Cause(
            subject=Subject(cluster=cluster, kind=Kind.SERVICE, **where),
            observed_at_ns=0,
            traceparent=TRACEPARENT,
            event_id=event_id,
            live=live,
            late=late,
        )
        self.waiting.expect(KEY, cast("Connection", self.bus), cause)

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._exporter.get_finished_spans()

    def settle(self, *refusals: Refusal) -> None:
        """Tell those who wait."""
        asyncio.run(self.waiting.settle(KEY, refusals))


def traceparent(span: ReadableSpan) -> str:
    """Return the header that makes other work part of a span."""
    assert span.context is not None
    flags = int(span.context.trace_flags)
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{flags:02x}"


def test_a_settled_message_ends_its_span_and_is_answered() -> None:
    """It belongs to the trace of the change that it tells of."""
    traced = Traced()
    traced.expect()

    traced.settle()

    (span,) = traced.ended
    assert (span.name, span.parent is not None) == ("consume service", True)
    ((subject, feedback),) = traced.bus.feedback
    assert subject == "heliograph.feedback.v1.here.east.service.shop.cart"
    assert feedback is not None
    assert (feedback.event_id, feedback.outcome) == ("1-1", "applied")
    assert traced.bus.headers == [{"traceparent": traceparent(span)}]


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
    with traced.waiting.step("apply", (KEY,)):
        pass

    traced.settle()

    apply, consume = traced.ended
    assert (consume.parent, len(consume.links)) == (None, 1)
    assert apply.parent is not None
    assert traced.bus.feedback == []


def test_a_replay_of_what_is_as_it_should_be_leaves_no_span() -> None:
    """Else each restart would record as many traces as there are mirrors."""
    traced = Traced()
    traced.expect(live=False)
    with traced.waiting.step("plan", (KEY,)):
        pass

    traced.settle()

    assert traced.ended == ()


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
    assert traced.waiting.keys() == ()


def test_nobody_has_to_wait() -> None:
    """Most mirrors are looked at without a message."""
    traced = Traced()

    traced.settle()

    assert (traced.ended, traced.bus.feedback) == ((), [])


def test_a_message_that_comes_late_only_links_to_its_trace() -> None:
    """A partition is not drawn as one long change; the way back is measured all the same."""
    traced = Traced()
    traced.expect(late=True)

    traced.settle()

    (span,) = traced.ended
    assert (span.parent, len(span.links)) == (None, 1)
    assert len(traced.bus.feedback) == 1


def test_steps_are_part_of_what_waits_and_are_told() -> None:
    """Planning and applying are spans below the consumption; feedback says how long each took."""
    traced = Traced()
    traced.expect()
    for name in ("plan", "apply"):
        with traced.waiting.step(name, (KEY,)) as span:
            span.note(heliograph_operations=1)

    traced.settle()

    plan, apply, consume = traced.ended
    assert [span.name for span in (plan, apply, consume)] == ["plan", "apply", "consume service"]
    assert [span.parent and span.parent.span_id for span in (plan, apply)] == [
        consume.context and consume.context.span_id
    ] * 2
    ((_, feedback),) = traced.bus.feedback
    assert feedback is not None
    assert [step.name for step in feedback.steps] == ["plan", "apply"]
    times = [at_s for step in feedback.steps for at_s in (step.begun_s, step.ended_s)]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= feedback.seconds


def test_work_for_several_clusters_refers_to_all_their_changes() -> None:
    """It is part of the trace of the first one, and is linked to the other's."""
    traced = Traced()
    for cluster in (EAST, SOUTH):
        traced.expect(cluster=cluster)
    with traced.waiting.step("apply", (KEY,)):
        pass

    (span,) = traced.ended
    assert (span.parent is not None, len(span.links)) == (True, 1)


def test_a_step_before_a_message_is_none_of_its_steps() -> None:
    """A newer message is told of what was done since it came, and not of what came before."""
    traced = Traced()
    traced.expect("1-1")
    with traced.waiting.step("plan", (KEY,)):
        traced.expect("1-2")

    traced.settle()

    ((_, feedback),) = traced.bus.feedback
    assert feedback is not None
    assert (feedback.event_id, feedback.steps) == ("1-2", ())


def test_work_that_nobody_waits_for_is_a_trace_only_where_something_is_written() -> None:
    """Repairs are traces of their own; looking at what is as it should be leaves no span."""
    traced = Traced()
    for name in ("plan", "apply"):
        with traced.waiting.step(name, (KEY,)):
            pass

    (span,) = traced.ended
    assert (span.name, span.parent, len(span.links)) == ("apply", None, 0)


def test_a_step_that_fails_says_so() -> None:
    """Its span is marked, its time is told, and the error passes."""
    traced = Traced()
    traced.expect()
    with pytest.raises(ValueError, match="why"), traced.waiting.step("apply", (KEY,)):
        raise ValueError("why")

    traced.settle()

    assert traced.ended[0].status.description == "ValueError"
    ((_, feedback),) = traced.bus.feedback
    assert feedback is not None
    assert [step.name for step in feedback.steps] == ["apply"]
