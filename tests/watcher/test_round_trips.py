"""Round trips are measured by the exporting cluster's own clock, from feedback."""

from __future__ import annotations

import pytest

from heliograph.bus import EmbeddedServer
from heliograph.contract.messages import Feedback, encode_feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, feedback_subject
from heliograph.metrics import Metrics
from services.watcher.feedback import RoundTrips
from tests.bus.support import connected, eventually
from tests.support.builders import EAST, subject

pytestmark = pytest.mark.nats

WEST = ClusterId("west")


async def test_feedback_is_measured(server: EmbeddedServer) -> None:
    """Only feedback to what was sent counts; nonsense and strange subjects are harmless."""
    metrics = Metrics("watcher", EAST)
    doubts: list[str] = []
    trips = RoundTrips(metrics, doubts.append)
    place = feedback_subject(WEST, subject(Kind.SERVICE, "cart"))
    said = encode_feedback(Feedback(event_id="1-1", outcome="applied", seconds=0.1))
    unknown = encode_feedback(Feedback(event_id="0-0", outcome="applied", seconds=0.1))
    async with connected(server.url) as connection:
        await trips.listen(connection, EAST)
        trips.sent("1-1")
        for payload in (b"nonsense", unknown):
            await connection.publish(place, payload, {})
        await connection.publish("heliograph.feedback.v1.west.east.nonsense", said, {})
        await connection.publish(place, said, {})
        await eventually(lambda: count(metrics, "service"))
    assert (count(metrics, "service"), count(metrics, "nonsense"), doubts) == (1, 0, [])


async def test_a_stream_that_others_read_otherwise_is_in_doubt(server: EmbeddedServer) -> None:
    """Somebody purged it, or a watcher that was replaced spoke last: only who reads it can tell."""
    doubts: list[str] = []
    trips = RoundTrips(Metrics("watcher", EAST), doubts.append)
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
    trips = RoundTrips(metrics, lambda _: None)
    for number in range(10_001):
        trips.sent(f"1-{number}")
    async with connected(server.url) as connection:
        await trips.listen(connection, EAST)
        for kind, number in ((Kind.NODE, 0), (Kind.SERVICE, 10_000)):
            feedback = Feedback(event_id=f"1-{number}", outcome="applied", seconds=0.1)
            place = feedback_subject(WEST, subject(kind, "x"))
            await connection.publish(place, encode_feedback(feedback), {})
        await eventually(lambda: count(metrics, "service"))
    assert (count(metrics, "node"), count(metrics, "service")) == (0, 1)
