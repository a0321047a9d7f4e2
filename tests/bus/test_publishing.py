"""What is offered gets stored: once, the last value of each subject, whatever stands in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from heliograph.bus import (
    Connection,
    EmbeddedServer,
    InvalidPublication,
    JetStreamError,
    Message,
    PermissionDenied,
    Publication,
    Publisher,
    StreamMissing,
    StreamSettings,
    Subscription,
    delete_stream,
    ensure_stream,
    stream_info,
)
from heliograph.lab.tcpproxy import Direction, TcpProxy
from tests.bus.support import (
    STREAM,
    STREAM_SETTINGS,
    Meddler,
    Writing,
    connected,
    embedded,
    eventually,
    messages_in_stream,
    reading,
    writing,
)

pytestmark = pytest.mark.nats


def summary(writer: Writing) -> list[tuple[str, bytes, int, str]]:
    return [
        (s.publication.subject, s.publication.payload, s.sequence, s.message_id)
        for s in writer.stored
    ]


async def test_what_is_settled_says_where_it_is_stored(connection: Connection) -> None:
    """Each publication is settled once, with its stream, sequence and message id."""
    async with writing(connection, epoch=9) as writer:
        writer.offer("east.a", "1")
        writer.offer("east.b", "2")
        await writer.settled()
        assert summary(writer) == [("east.a", b"1", 1, "9-1"), ("east.b", b"2", 2, "9-2")]
        assert {(s.stream, s.duplicate) for s in writer.stored} == {(STREAM, False)}
        assert (writer.publisher.pending, writer.doubts) == (0, [])


async def test_live_changes_overtake_the_backlog(connection: Connection) -> None:
    """A change just seen does not wait behind a resync of thousands."""
    async with writing(connection) as writer:
        for n in range(1000):
            writer.offer(f"east.backlog.{n}", live=False)
        writer.offer("east.live")
        await writer.settled()
        subjects = [s.publication.subject for s in writer.stored]
        assert subjects.index("east.live") <= 128


async def test_only_the_last_value_counts(connection: Connection) -> None:
    """A value offered again and again is stored a few times, and last is last."""
    async with writing(connection) as writer:
        for n in range(1000):
            writer.offer("east.a", str(n))
        await writer.settled()
        assert len(writer.stored) <= 2
        assert writer.stored[-1].publication.payload == b"999"


async def test_the_answers_get_lost(proxied: Connection, proxy: TcpProxy) -> None:
    """Sent again with the same message id, everything is stored once and settled once."""
    async with writing(proxied) as writer, reading(proxied) as reader:
        await eventually(lambda: reader.complete)
        proxy.drop(Direction.TO_CLIENT)
        for n in range(50):
            writer.offer(f"east.{n}", str(n))
        await asyncio.sleep(0.2)  # the faulty time itself
        proxy.heal()
        await writer.settled()
        await eventually(lambda: reader.complete and len(reader.table) == 50)
        assert sorted(s.sequence for s in writer.stored) == list(range(1, 51))
        assert any(s.duplicate for s in writer.stored)
        assert writer.doubts == ["reconnected"]
        info = await stream_info(proxied, STREAM)
        assert (info.messages, info.last_sequence) == (50, 50)


async def test_the_server_is_silent_for_a_while(
    connection: Connection, server: EmbeddedServer
) -> None:
    """An answer that takes longer than the timeout makes duplicates, and no harm."""
    async with writing(connection) as writer:
        server.pause()
        for n in range(50):
            writer.offer(f"east.{n}", str(n))
        await asyncio.sleep(2.3)  # a retry, but the connection holds
        server.resume()
        await writer.settled()
        await messages_in_stream(connection, 50)
        assert len(writer.stored) == 50
        assert (await stream_info(connection, STREAM)).last_sequence == 50


async def test_a_missing_stream_is_waited_for(server: EmbeddedServer) -> None:
    """Everything is kept, the doubt is told once, and all is stored when the stream is there."""
    async with connected(server.url) as connection, writing(connection) as writer:
        for n in range(500):
            writer.offer(f"east.{n}", str(n))
        await eventually(lambda: writer.doubts)
        await eventually(lambda: writer.publisher._landing.refusals._rounds > 3)  # noqa: SLF001
        assert writer.publisher.pending == 500
        assert len(writer.doubts) == 1
        assert writer.doubts[0].startswith("no stream stores east.")
        await ensure_stream(connection, STREAM_SETTINGS)
        took_s = await eventually(lambda: not writer.publisher.pending)
        assert len(writer.stored) == 500
    print(f"\nstored {took_s:.2f} s after the stream came")  # noqa: T201


async def test_the_stream_is_lost_and_made_anew(connection: Connection) -> None:
    """The owner hears that the stream is gone, by name, and that the new one counts from one."""
    async with writing(connection) as writer:
        for n in range(3):
            writer.offer(f"east.{n}", str(n))
        await writer.settled()
        await delete_stream(connection, STREAM)
        writer.offer("east.0", "new")
        await eventually(lambda: writer.doubts)
        await ensure_stream(connection, STREAM_SETTINGS)
        await writer.settled()
        assert writer.doubts == [
            f"stream {STREAM} does not exist",
            f"stream {STREAM} went backwards from 3",
        ]


async def test_a_publication_too_large_is_given_up(connection: Connection) -> None:
    """It could never be stored; the owner hears of it, and the rest goes on."""
    async with writing(connection) as writer:
        writer.offer("east.big", "x" * 2_000_000)
        writer.offer("east.small", "x")
        await writer.settled()
        assert [s.publication.subject for s in writer.stored] == ["east.small"]
        (doubt,) = writer.doubts
        assert doubt.startswith("cannot publish to east.big: 2000")


async def test_what_the_stream_refuses_is_tried_again_slowly(connection: Connection) -> None:
    """A refusal names the subject, holds up nothing else, and makes way for a better value."""
    async with writing(connection) as writer:
        writer.offer("east.a", "bad", headers={"Nats-Expected-Last-Sequence": "77"})
        writer.offer("east.b", "good")
        await eventually(lambda: writer.doubts and writer.stored)
        assert writer.publisher.pending == 1
        assert "publishing to east.a: JetStream answered 'wrong last sequence" in writer.doubts[0]
        writer.offer("east.a", "better")
        await writer.settled()
        assert writer.stored[-1].publication.payload == b"better"


DENYING = """
authorization { users = [
  { user: all, password: x }
  { user: half, password: x, permissions: {
      publish: ["east.Good.>", "$JS.API.STREAM.INFO.*"], subscribe: ["_INBOX_half.>"] } }
] }
"""


async def test_a_denied_publication_is_no_silence(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The refusal comes at once, names the subject as it is written, and stops nothing else."""
    with embedded(tmp_path_factory.mktemp("denying"), extra_config=DENYING) as server:
        async with connected(server.url, user="all", password="x") as connection:  # noqa: S106
            await ensure_stream(connection, STREAM_SETTINGS)
        mine = {"user": "half", "password": "x", "inbox_prefix": "_INBOX_half"}
        async with connected(server.url, **mine) as connection, writing(connection) as writer:
            writer.offer("east.Bad.a", "1")
            writer.offer("east.Good.a", "1")
            took_s = await eventually(lambda: writer.doubts and writer.stored)
            assert took_s < 1.5
            assert writer.doubts == [
                "may not publish to east.Bad.a; grant it to this user of the NATS server."
            ]
            assert [s.publication.subject for s in writer.stored] == ["east.Good.a"]
            async with writer.publisher.quiet():
                with pytest.raises(PermissionDenied, match=r"east\.Bad\.b"):
                    await writer.publisher.publish_now(
                        Publication(subject="east.Bad.b", payload=b"")
                    )


@pytest.mark.parametrize("busy", [False, True])
async def test_replies_that_may_not_be_read_are_a_doubt(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, *, busy: bool
) -> None:
    """A wrong inbox prefix would mean endless repetition; the owner hears why, at once as well."""
    subscribe = Connection.subscribe

    async def answered_before_it_returns(
        connection: Connection, subject: str, callback: Callable[[Message], None]
    ) -> Subscription:
        subscription = await subscribe(connection, subject, callback)
        await asyncio.sleep(0.2)  # a busy machine: the refusal comes meanwhile
        return subscription

    if busy:
        monkeypatch.setattr(Connection, "subscribe", answered_before_it_returns)
    with embedded(tmp_path_factory.mktemp("denying"), extra_config=DENYING) as server:
        mine = {"user": "half", "password": "x", "inbox_prefix": "_INBOX_other"}
        async with connected(server.url, **mine) as connection, writing(connection) as writer:
            await eventually(lambda: writer.doubts)
            assert writer.doubts == [
                "may not subscribe to _INBOX_other.>; grant it to this user of the NATS server."
            ]


async def test_quiet_is_a_barrier(connection: Connection) -> None:
    """Inside, nothing flies but what the caller publishes; what was offered comes afterwards."""
    async with writing(connection) as writer:
        publisher = writer.publisher
        for n in range(300):
            writer.offer(f"east.{n}", str(n))
        async with publisher.quiet():
            before = len(writer.stored)
            assert publisher.pending == 300 - before > 0
            writer.offer("east.later", "x")
            stored = await publisher.publish_now(Publication(subject="east.digest", payload=b"d"))
            assert writer.stored[before:] == [stored]
            assert stored.sequence == before + 1
        await writer.settled()
        assert len(writer.stored) == 302


async def test_barriers_come_one_after_the_other(connection: Connection) -> None:
    """Two callers never stand inside at the same time."""
    inside = 0

    async def enter(writer: Writing, name: str) -> None:
        nonlocal inside
        async with writer.publisher.quiet():
            inside += 1
            assert inside == 1
            await writer.publisher.publish_now(Publication(subject=f"east.{name}", payload=b""))
            inside -= 1

    async with writing(connection) as writer, asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(enter(writer, name))


async def test_publishing_now_says_why_it_cannot(server: EmbeddedServer) -> None:
    """The caller inside the barrier gets the refusal, so that the barrier is not held for ever."""
    async with connected(server.url) as connection, writing(connection) as writer:
        publisher = writer.publisher
        now = Publication(subject="east.digest", payload=b"")
        with pytest.raises(RuntimeError, match="inside quiet"):
            await publisher.publish_now(now)
        async with publisher.quiet():
            with pytest.raises(StreamMissing):
                await publisher.publish_now(now)
            await ensure_stream(connection, STREAM_SETTINGS)
            with pytest.raises(InvalidPublication):
                await publisher.publish_now(Publication(subject="east.x", payload=b"x" * 2_000_000))
            with pytest.raises(JetStreamError, match="TTL"):
                await publisher.publish_now(Publication(subject="east.x", payload=b"", ttl_s=-5))
            assert (await publisher.publish_now(now)).sequence == 1
        assert publisher.pending == 0


async def test_publishing_now_through_an_outage(
    connection: Connection, server: EmbeddedServer
) -> None:
    """The barrier is held, the message sent again after the outage, and the caller served."""
    async with writing(connection) as writer, writer.publisher.quiet():
        server.kill()
        publishing = asyncio.create_task(
            writer.publisher.publish_now(Publication(subject="east.digest", payload=b""))
        )
        await eventually(lambda: not connection.connected)
        server.start()
        async with asyncio.timeout(10):
            assert (await publishing).sequence == 1


async def test_publishing_now_though_the_answer_gets_lost(connection: Connection) -> None:
    """What nobody answers is sent again, also when nothing else is to be done, and stored once."""
    deaf = Meddler(connection)
    answers: list[Message] = []

    def lose_the_first(message: Message) -> list[Message]:
        answers.append(message)
        return answers[1:]

    deaf.meddle = lose_the_first
    async with writing(deaf) as writer, writer.publisher.quiet(), asyncio.timeout(10):
        stored = await writer.publisher.publish_now(Publication(subject="east.d", payload=b""))

    assert (stored.duplicate, len(answers)) == (True, 2)
    assert (await stream_info(connection, STREAM)).messages == 1


async def test_draining_gives_up_in_time(server: EmbeddedServer) -> None:
    """Shutting down never hangs on a stream that is not there."""
    async with connected(server.url) as connection, writing(connection) as writer:
        writer.offer("east.a", "1")
        assert not await writer.publisher.drain(0.3)
        await ensure_stream(connection, STREAM_SETTINGS)
        assert await writer.publisher.drain(10)


async def test_the_owners_error_ends_the_publisher(connection: Connection) -> None:
    """A fault in the owner's callback is not swallowed."""

    def fail(_: object) -> None:
        raise LookupError("no such subject")

    publisher = Publisher(connection, 1, fail, fail)
    publisher.offer(Publication(subject="east.a", payload=b""))
    with pytest.raises(LookupError, match="no such subject"):
        await publisher.run()


async def test_a_stream_of_other_subjects_changes_nothing(connection: Connection) -> None:
    """What no stream stores is told by its subject."""
    await ensure_stream(connection, StreamSettings(name="OTHER", subjects=("west.>",)))
    async with writing(connection) as writer:
        writer.offer("north.a", "1")
        await eventually(lambda: writer.doubts)
        assert writer.doubts == ["no stream stores north.a"]
