"""A consumer tells all there is, then every change, in order and each once."""

from __future__ import annotations

import asyncio
import contextlib
import time
import tracemalloc

import msgspec
import pytest

from heliograph.bus import (
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Message,
    SnapshotBegun,
    SnapshotComplete,
    stream_info,
)
from tests.bus.support import (
    STREAM,
    Meddler,
    eventually,
    messages_in_stream,
    reading,
    writing,
)

pytestmark = pytest.mark.nats


async def test_an_empty_stream_is_complete_at_once(connection: Connection) -> None:
    """Nothing is waited for where nothing is."""
    created = (await stream_info(connection, STREAM)).created
    async with reading(connection) as reader:
        await eventually(lambda: reader.complete)
        assert reader.events == [SnapshotBegun(created), SnapshotComplete()]


async def test_first_what_is_there_then_every_change(connection: Connection) -> None:
    """The snapshot holds the last value per subject; later ones come live, headers and all."""
    async with writing(connection, epoch=42) as writer, reading(connection) as reader:
        await eventually(lambda: reader.complete)
        writer.offer("east.a", "1", headers={"traceparent": "00-ab-cd-01"})
        writer.offer("east.b", "1")
        await writer.settled()
        writer.offer("east.a", "2")
        await writer.settled()
        await eventually(lambda: len(reader.deliveries) == 3)
        reader.consumer.resync("to see the snapshot")
        await eventually(lambda: reader.complete and len(reader.created) == 2)
    *live, b, a = reader.deliveries
    assert [(d.subject, d.payload, d.in_snapshot) for d in live] == [
        ("east.a", b"1", False),
        ("east.b", b"1", False),
        ("east.a", b"2", False),
    ]
    assert [(d.subject, d.payload, d.in_snapshot) for d in (b, a)] == [
        ("east.b", b"1", True),
        ("east.a", b"2", True),
    ]
    assert [d.stream_sequence for d in live] == [1, 2, 3]
    assert abs(time.time_ns() - a.stored_at_ns) < 60e9
    assert live[0].headers == {
        "traceparent": "00-ab-cd-01",
        "Heliograph-Epoch": "42",
        "Nats-Msg-Id": "42-1",
    }


async def test_only_what_the_filters_name(connection: Connection) -> None:
    """Several filters make one reading; the rest stays on the server."""
    async with writing(connection) as writer:
        for subject in ("east.node.a", "east.service.b", "east.link.c"):
            writer.offer(subject, "x")
        await writer.settled()
        async with reading(connection, "east.node.>", "east.service.>") as reader:
            await eventually(lambda: reader.complete)
            assert set(reader.table) == {"east.node.a", "east.service.b"}
        async with reading(connection, "east.none.>") as reader:
            await eventually(lambda: reader.complete)
            assert reader.table == {}


async def test_a_message_with_time_to_live_vanishes(connection: Connection) -> None:
    """A withdrawal is told to who is there, and to nobody who comes after its time."""
    async with writing(connection) as writer, reading(connection) as reader:
        writer.offer("east.gone", "withdrawn", ttl_s=1)
        writer.offer("east.stays", "x")
        await writer.settled()
        await eventually(lambda: len(reader.table) == 2)
        await messages_in_stream(connection, 1)
        reader.consumer.resync("to see the snapshot")
        await eventually(lambda: reader.complete and len(reader.created) == 2)
        assert set(reader.table) == {"east.stays"}


async def test_rest_completes_a_snapshot_as_well(connection: Connection) -> None:
    """When the last message of the replay expires unread, two heartbeats say there is no more."""

    def as_if_more_were_pending(message: Message) -> list[Message]:
        first, _, pending = message.reply.rpartition(".")
        reply = f"{first}.{int(pending) + 1}" if message.reply.startswith("$JS.ACK.") else ""
        return [msgspec.structs.replace(message, reply=reply)]

    meddler = Meddler(connection)
    meddler.meddle = as_if_more_were_pending
    async with writing(connection) as writer:
        writer.offer("east.a", "x")
        await writer.settled()
        async with reading(meddler) as reader:
            took_s = await eventually(lambda: reader.complete)
            assert reader.table == {"east.a": b"x"}
            assert took_s > 0.3


async def test_ten_thousand_messages(connection: Connection) -> None:
    """A replay is complete and in order, and quick enough to be the answer to every doubt."""
    async with writing(connection) as writer:
        for n in range(10_000):
            writer.offer(f"east.{n}", "x" * 200)
        await writer.settled(60)
        async with reading(connection) as reader:
            took_s = await eventually(lambda: reader.complete, 30)
            assert len(reader.table) == 10_000
            sequences = [d.stream_sequence for d in reader.deliveries]
            assert sequences == sorted(set(sequences))
    print(f"\n10,000 messages replayed in {took_s:.2f} s")  # noqa: T201


async def test_a_replay_under_churn_misses_nothing(connection: Connection) -> None:
    """Completed while values keep changing, a snapshot holds every subject that existed before."""
    async with writing(connection) as writer:
        for n in range(3000):
            writer.offer(f"east.{n}", "0")
        await writer.settled(60)
        for round_ in range(5):
            async with reading(connection, batch=50) as reader:
                while not reader.complete:
                    for n in range(0, 3000, 100):
                        writer.offer(f"east.{(n + round_ * 7) % 3000}", str(round_))
                    await asyncio.sleep(0.001)
                assert len(reader.table) == 3000
                assert reader.interruptions == []
            await writer.settled(60)


async def test_a_slow_reader_holds_little_in_memory(connection: Connection) -> None:
    """The server waits: what is read ahead is bounded by the window, not by the backlog."""
    async with writing(connection) as writer:
        for n in range(3000):
            writer.offer(f"east.{n}", "x" * 20_000)
        await writer.settled(60)
    settings = ConsumerSettings(
        stream=STREAM, filter_subjects=("east.>",), name_prefix="slow", batch=50
    )
    count = 0
    tracemalloc.start()
    async with contextlib.aclosing(Consumer(connection, settings).events()) as events:
        async for event in events:
            count += isinstance(event, Delivery)
            if isinstance(event, Delivery) and count % 1000 == 1:
                await asyncio.sleep(0.5)  # time for far more than the window to come
            if isinstance(event, SnapshotComplete):
                break
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3000
    print(f"\n60 MB read slowly, at most {peak_bytes / 1e6:.1f} MB held")  # noqa: T201
    assert peak_bytes < 3 * 50 * 21_000 + 2_000_000


async def test_a_slow_reader_raises_no_doubt(connection: Connection) -> None:
    """A reader that is busy for longer than the heartbeats finds everything as it should be."""
    async with writing(connection) as writer:
        writer.offer("east.a", "x")
        await writer.settled()
        settings = ConsumerSettings(
            stream=STREAM, filter_subjects=("east.>",), name_prefix="slow", heartbeat_s=0.3
        )
        events = Consumer(connection, settings).events()
        async with contextlib.aclosing(events):
            seen = [await anext(events) for _ in range(3)]
            await asyncio.sleep(1.5)
            writer.offer("east.a", "y")
            seen.append(await anext(events))
    assert [type(event).__name__ for event in seen] == [
        "SnapshotBegun",
        "Delivery",
        "SnapshotComplete",
        "Delivery",
    ]


async def test_a_finished_reading_leaves_no_consumer(connection: Connection) -> None:
    """Closing the events gives the consumer back, so the server carries no dead ones."""

    async def consumers() -> int:
        reply = await connection.request(f"$JS.API.CONSUMER.NAMES.{STREAM}")
        return reply.payload.count(b"test-")

    async with reading(connection) as reader:
        await eventually(lambda: reader.complete)
        assert await consumers() == 1
    async with asyncio.timeout(5):
        while await consumers():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
