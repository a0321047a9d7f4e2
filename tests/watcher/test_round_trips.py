"""Round trips are measured by the exporting cluster's own clock, from feedback."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from heliograph import telemetry
from heliograph.announce.announcer import Origin
from heliograph.bus import EmbeddedServer, Publication
from heliograph.clock import now_ns
from heliograph.contract.feedback import Feedback, encode_feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, feedback_subject
from heliograph.metrics import Metrics
from services.watcher.feedback import RoundTrips
from services.watcher.table import ServiceKey
from tests.bus.support import connected, eventually
from tests.support.builders import EAST, subject

pytestmark = pytest.mark.nats

WEST = ClusterId("west")
OFF = telemetry.disabled()
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def send(trips: RoundTrips, event_id: str, traceparent: str = "") -> None:
    """Let a publication leave."""
    headers = {"ce-id": event_id, "ce-type": "io.heliograph.service.exported.v1"}
    publication = Publication(
        subject=str(subject(Kind.SERVICE, "cart")), payload=b"{}", headers=headers
    )
    origin = Origin(seen_at_ns=now_ns(), thing=ServiceKey("shop", "cart"))
    trips.sent(publication, origin, traceparent)


async def test_feedback_is_measured(server: EmbeddedServer) -> None:
    """Only feedback to what was sent counts; nonsense and strange subjects are harmless."""
    metrics = Metrics("watcher", EAST)
    doubts: list[str] = []
    trips = RoundTrips(metrics, OFF, doubts.append)
    place = feedback_subject(WEST, subject(Kind.SERVICE, "cart"))
    said = encode_feedback(Feedback(event_id="1-1", outcome="applied", seconds=0.1))
    unknown = encode_feedback(Feedback(event_id="0-0", outcome="applied", seconds=0.1))
    async with connected(server.url) as connection:
        await trips.listen(connection, EAST)
        send(trips, "1-1")
        for payload in (b"nonsense", unknown):
            await connection.publish(place, payload, {})
        await connection.publish("heliograph.feedback.v1.west.east.nonsense", said, {})
        await connection.publish(place, said, {})
        await eventually(lambda: count(metrics, "service"))
    assert (count(metrics, "service"), count(metrics, "nonsense"), doubts) == (1, 0, [])


async def test_a_stream_that_others_read_otherwise_is_in_doubt(server: EmbeddedServer) -> None:
    """Somebody purged it, or a watcher that was replaced spoke last: only who reads it can tell."""
    doubts: list[str] = []
    trips = RoundTrips(Metrics("watcher", EAST), OFF, doubts.append)
    said = Feedback(event_id="1-1", outcome="mismatched", seconds=0)
    async with connected(server.url) as connection:
        await trips.listen(connection, EAST)
        place = feedback_subject(WEST, subject(Kind.CLUSTER, "east"))
        await connection.publish(place, encode_feedback(said), {})
        await eventually(lambda: doubts)
    assert doubts == ["cluster west read something else than its digest says"]


def count(metrics: Metrics, kind: str) -> float:
    labels = {"importing": "west", "kind": kind}
    name = "heliograph_round_trip_seconds_count"
    return metrics.registry.get_sample_value(name, labels) or 0


async def test_only_the_latest_publications_are_remembered(server: EmbeddedServer) -> None:
    """A cluster without importers does not fill the memory of its watcher."""
    metrics = Metrics("watcher", EAST)
    trips = RoundTrips(metrics, OFF, lambda _: None)
    for number in range(10_001):
        send(trips, f"1-{number}")
    async with connected(server.url) as connection:
        await trips.listen(connection, EAST)
        for kind, number in ((Kind.NODE, 0), (Kind.SERVICE, 10_000)):
            feedback = Feedback(event_id=f"1-{number}", outcome="applied", seconds=0.1)
            place = feedback_subject(WEST, subject(kind, "x"))
            await connection.publish(place, encode_feedback(feedback), {})
        await eventually(lambda: count(metrics, "service"))
    assert (count(metrics, "node"), count(metrics, "service")) == (0, 1)


async def traced(server: EmbeddedServer, sent: str, said: str) -> tuple[ReadableSpan, ...]:
    """Return the spans that feedback leaves: to a publication of one trace, with one header."""
    exporter = InMemorySpanExporter()
    traces = telemetry.exporting("watcher", EAST, SimpleSpanProcessor(exporter))
    metrics = Metrics("watcher", EAST)
    trips = RoundTrips(metrics, traces, lambda _: None)
    send(trips, "1-1", sent)
    async with connected(server.url) as connection:
        await trips.listen(connection, EAST)
        feedback = encode_feedback(Feedback(event_id="1-1", outcome="applied", seconds=0.1))
        place = feedback_subject(WEST, subject(Kind.SERVICE, "cart"))
        await connection.publish(place, feedback, {"traceparent": said})
        await eventually(lambda: count(metrics, "service"))
    return exporter.get_finished_spans()


async def test_feedback_ends_the_trace_where_it_began(server: EmbeddedServer) -> None:
    """It is part of what the importing cluster did with the change."""
    theirs = TRACEPARENT.replace("b7ad6b7169203331", "00f067aa0ba902b7")
    (span,) = await traced(server, TRACEPARENT, theirs)
    assert span.name == "feedback service"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"


async def test_feedback_never_joins_a_trace_of_others(server: EmbeddedServer) -> None:
    """A header of another trace is only referred to: a late delivery, or somebody's mischief."""
    theirs = TRACEPARENT.replace("0af7651916cd43dd", "ffffffffffffffff")
    (span,) = await traced(server, TRACEPARENT, theirs)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert len(span.links) == 1


async def test_feedback_to_what_is_not_sampled_leaves_no_span(server: EmbeddedServer) -> None:
    """Importing clusters cannot make a watcher record what it chose not to."""
    assert await traced(server, TRACEPARENT[:-1] + "0", TRACEPARENT) == ()
    assert await traced(server, "", TRACEPARENT) == ()
