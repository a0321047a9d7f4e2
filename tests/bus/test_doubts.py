"""On any doubt a consumer says so and reads everything anew; it ends with the truth."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from heliograph.bus import Connection, EmbeddedServer, Message, delete_stream, ensure_stream
from heliograph.bus.jetstream import delete_subject
from tests.bus.support import (
    STREAM,
    STREAM_SETTINGS,
    Meddler,
    Reading,
    connected,
    eventually,
    reading,
    writing,
)

pytestmark = pytest.mark.nats
ACK = "$JS.ACK."
Meddling = Callable[[Message], list[Message]]


async def shows(reader: Reading, doubt: str, table: dict[str, bytes]) -> None:
    """Wait for a doubt, and for the truth after it."""
    await eventually(lambda: any(doubt in reason for reason in reader.interruptions))
    await eventually(lambda: reader.complete and reader.table == table)


def once(change: Meddling) -> Meddling:
    """Return a meddling with the first delivery only; everything else passes."""
    done: list[Message] = []

    def meddle(message: Message) -> list[Message]:
        if done or not message.reply.startswith(ACK):
            return [message]
        done.append(message)
        return change(message)

    return meddle


def with_facts(message: Message, change: Callable[[list[str]], list[str]]) -> list[Message]:
    reply = ".".join(change(message.reply.split(".")))
    return [msgspec.structs.replace(message, reply=reply)]


def flood(message: Message) -> list[Message]:
    tokens = message.reply.split(".")
    return [
        msgspec.structs.replace(
            message, reply=".".join([*tokens[:5], str(n), str(n), *tokens[7:-1], "9"])
        )
        for n in range(1, 200)
    ]


MEDDLINGS: dict[str, tuple[Meddling, str]] = {
    "lost": (lambda _: [], "came where"),
    "repeated": (lambda m: [m, m], "came where"),
    "sequence backwards": (
        lambda m: with_facts(m, lambda t: [*t[:5], "0", *t[6:]]),
        "stream sequence went back",
    ),
    "malformed facts": (lambda m: with_facts(m, lambda t: [*t[:6], "x", *t[7:]]), "malformed"),
    "too few facts": (lambda m: with_facts(m, lambda t: t[:6]), "malformed"),
    "no facts": (lambda m: [msgspec.structs.replace(m, reply="")], "the consumer is gone"),
    "bad request": (
        lambda m: [
            Message(
                subject=m.subject,
                payload=b"",
                reply="",
                headers={"Status": "400", "Description": "Bad Request"},
            )
        ],
        "the consumer is gone (400 Bad Request)",
    ),
    "heartbeat without numbers": (
        lambda m: [
            Message(subject=m.subject, payload=b"", reply="", headers={"Status": "100"}),
        ],
        "malformed",
    ),
    "flood": (flood, "more was delivered than asked for"),
}


@pytest.mark.parametrize(("meddle", "doubt"), MEDDLINGS.values(), ids=MEDDLINGS)
@pytest.mark.parametrize("live", [False, True], ids=["in snapshot", "live"])
async def test_what_does_not_fit(
    connection: Connection,
    meddle: Meddling,
    doubt: str,
    live: bool,  # noqa: FBT001
) -> None:
    """A delivery lost, repeated, garbled or unasked-for is noticed, in the replay and later."""
    meddler = Meddler(connection)
    async with writing(connection) as writer:
        if not live:
            writer.offer("east.a", "1")
            writer.offer("east.b", "1")
            await writer.settled()
            meddler.meddle = once(meddle)
        async with reading(meddler, batch=20) as reader:
            if live:
                await eventually(lambda: reader.complete)
                meddler.meddle = once(meddle)
                writer.offer("east.a", "1")
                writer.offer("east.b", "1")
            await shows(reader, doubt, {"east.a": b"1", "east.b": b"1"})


async def test_a_lost_last_delivery_is_noticed_by_the_next_heartbeat(
    connection: Connection,
) -> None:
    """No later delivery is needed to see the gap: heartbeats carry the sequence too."""
    meddler = Meddler(connection)
    async with writing(connection) as writer, reading(meddler) as reader:
        await eventually(lambda: reader.complete)
        meddler.meddle = once(lambda _: [])
        writer.offer("east.a", "1")
        await shows(reader, "delivery 1 never came", {"east.a": b"1"})


async def test_missing_heartbeats(connection: Connection) -> None:
    """Silence is a doubt after about a second."""
    meddler = Meddler(connection)
    async with writing(connection) as writer, reading(meddler) as reader:
        await eventually(lambda: reader.complete)
        meddler.meddle = lambda _: []
        writer.offer("east.a", "1")
        took_s = await eventually(lambda: reader.interruptions)
        meddler.meddle = lambda message: [message]
        await shows(reader, "no heartbeat for 0.9 s", {"east.a": b"1"})
    assert took_s < 3


async def test_the_consumer_is_deleted(connection: Connection) -> None:
    """An administrator's tidiness costs a replay, no more."""
    async with writing(connection) as writer, reading(connection) as reader:
        writer.offer("east.a", "1")
        await eventually(lambda: reader.complete and reader.table)
        names = await connection.request(f"$JS.API.CONSUMER.NAMES.{STREAM}")
        (name,) = msgspec.json.decode(names.payload)["consumers"]
        await connection.request(delete_subject(STREAM, name))
        await shows(reader, "the consumer is gone (409 Consumer Deleted)", {"east.a": b"1"})
        assert len(set(reader.created)) == 1


async def test_the_stream_is_made_anew(connection: Connection) -> None:
    """The reader learns that it is another stream, and what that one holds."""
    async with writing(connection) as writer, reading(connection) as reader:
        writer.offer("east.a", "1")
        await eventually(lambda: reader.complete and reader.table)
        await delete_stream(connection, STREAM)
        await eventually(lambda: f"stream {STREAM} does not exist" in reader.interruptions)
        await ensure_stream(connection, STREAM_SETTINGS)
        await eventually(lambda: reader.complete)
        assert reader.table == {}
        assert len(set(reader.created)) == 2
        writer.offer("east.b", "2")
        await eventually(lambda: reader.table == {"east.b": b"2"})


async def test_a_missing_stream_is_waited_for_and_said_once(server: EmbeddedServer) -> None:
    """Importers may start before exporters: one message, then patience."""
    async with connected(server.url) as connection, reading(connection) as reader:
        await eventually(lambda: reader.interruptions)
        await eventually(lambda: reader.consumer._failures > 3)  # noqa: SLF001
        assert reader.interruptions == [f"stream {STREAM} does not exist"]
        await ensure_stream(connection, STREAM_SETTINGS)
        took_s = await eventually(lambda: reader.complete)
        assert reader.interruptions == [f"stream {STREAM} does not exist"]
    assert took_s < 3


async def test_the_reader_has_a_doubt_of_its_own(connection: Connection) -> None:
    """`resync` replays, with the reader's own words as the reason."""
    async with writing(connection) as writer, reading(connection) as reader:
        writer.offer("east.a", "1")
        await eventually(lambda: reader.complete and reader.table)
        reader.consumer.resync("the digest differs")
        await shows(reader, "the digest differs", {"east.a": b"1"})
        assert reader.interruptions == ["the digest differs"]


async def test_a_doubt_before_the_first_replay_is_no_news(connection: Connection) -> None:
    """A replay is coming anyway."""
    async with reading(connection) as reader:
        reader.consumer.resync("early")
        await eventually(lambda: reader.complete)


async def test_jetstream_is_off(server: EmbeddedServer) -> None:
    """A wrong domain, or JetStream switched off: said once, and waited for."""
    async with (
        connected(server.url) as connection,
        reading(connection, api="$JS.nowhere.API") as reader,
    ):
        await eventually(lambda: reader.interruptions)
        (reason,) = reader.interruptions
    assert "nobody answers on $JS.nowhere.API.CONSUMER.CREATE" in reason
