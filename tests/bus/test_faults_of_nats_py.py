"""The faults of nats-py 2.16 that stand in our way, each with its number, on a real nats-server.

Each test shows the fault itself, with nats-py used as its documentation does, and beside it our
adapter in the same trouble. When a newer nats-py makes the first half of one fail, the fault is
mended there, and the pin may move.

 1  An ordered consumer loses what overflows its queue, and never notices.
 2  A PONG that comes after a timed-out flush() kills the reader, as any garbage does.
 3  Acknowledgement subjects of the second form end an ordered consumer, and the reader with it.
 4  A key-value watch needs some 20 s after a restart of the server.
 5  Expired credentials close a client for good, and no error is told.
 6  A denied publication is a timeout, and no error.
 7  Publications by publish_async() whose answer was lost are awaited for ever.
 8  A client that failed to reconnect often enough is closed for good.
 9  What is published while the server is away is buffered, reported as failed, and sent later.
10  close() takes as long as it pleases when nobody reads.
11  Ordered subscriptions poll four times a second for flow control. We have no ordered ones.
12  A client follows the addresses that servers tell one another, around a proxy.
13  Others report that pull_subscribe() stops after a restart. Not tried, as we use none of it; our
    own pulls after a restart are in test_coming_back.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from heliograph.bus import (
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Disconnected,
    EmbeddedServer,
    PermissionDenied,
    ensure_stream,
    stream_info,
)
from heliograph.bus.credentials import sign, user_jwt
from heliograph.lab.tcpproxy import Direction, TcpProxy
from tests.bus.support import (
    STREAM,
    STREAM_SETTINGS,
    connected,
    embedded,
    eventually,
    messages_in_stream,
    reading,
    writing,
)
from tests.bus.test_permissions import Operator

pytestmark = pytest.mark.nats


class Heard:
    """What a subscription of nats-py brought, and what its client complained of."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.errors: list[Exception] = []

    async def take(self, message: Msg) -> None:
        """Take a message."""
        self.subjects.append(message.subject)

    async def complain(self, error: Exception) -> None:
        """Take an error."""
        self.errors.append(error)


@contextlib.asynccontextmanager
async def plain(url: str, heard: Heard | None = None, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401
    """Connect with nats-py alone."""
    client = await nats.connect(url, error_cb=(heard or Heard()).complain, **options)
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):  # whatever state the fault has left it in
            async with asyncio.timeout(1):
                await client.close()
        for task in (client._reading_task, client._flusher_task, client._reconnection_task):  # noqa: SLF001
            if task is not None:
                task.cancel()
        transport = getattr(client._transport, "_io_writer", None)  # noqa: SLF001
        if transport is not None and not transport.is_closing():
            transport.transport.abort()


def reader_died(client: Client) -> bool:
    return client._reading_task.done()  # noqa: SLF001


async def test_1_an_ordered_consumer_loses_silently(connection: Connection) -> None:
    """A busy handler costs nats-py most of a burst; ours is slowed down, and gets all of it."""
    heard = Heard()

    async def slow(message: Msg) -> None:
        await heard.take(message)
        if len(heard.subjects) == 1:
            await asyncio.sleep(1)  # a busy handler

    url = connection._settings.urls[0]  # noqa: SLF001
    async with plain(url, heard) as client, writing(connection) as writer:
        await client.jetstream().subscribe(
            "east.>",
            stream=STREAM,
            cb=slow,
            ordered_consumer=True,
            idle_heartbeat=0.3,
            pending_msgs_limit=100,
        )
        for n in range(1000):
            writer.offer(f"east.{n}", "x")
        assert await read_slowly(connection, 1000) == {f"east.{n}" for n in range(1000)}
        await asyncio.sleep(1.5)  # several heartbeats, which could have told of the gap
        assert len(set(heard.subjects)) < 1000


async def read_slowly(connection: Connection, count: int) -> set[str]:
    """Read so many subjects, after a pause at the first one."""
    settings = ConsumerSettings(
        stream=STREAM, filter_subjects=("east.>",), name_prefix="slow", batch=50
    )
    subjects: set[str] = set()
    async with contextlib.aclosing(Consumer(connection, settings).events()) as events:
        async for event in events:
            if isinstance(event, Delivery):
                await asyncio.sleep(0 if subjects else 1)
                subjects.add(event.subject)
            if len(subjects) == count:
                break
    return subjects


async def late_pong(client: Client, server: EmbeddedServer) -> None:
    server.pause()
    with contextlib.suppress(nats.errors.TimeoutError):
        await client.flush(timeout=1)
    server.resume()


async def garbage(client: Client, _: EmbeddedServer) -> None:
    client._ps.buf.extend(b"MSG nonsense\r\n")  # noqa: SLF001


async def closed_underneath(client: Client, _: EmbeddedServer) -> None:
    with contextlib.suppress(ConnectionResetError):  # its supervisor may abort it meanwhile
        await client.close()


async def test_2_a_late_pong(connection: Connection, server: EmbeddedServer) -> None:
    """The reader of nats-py is dead, and the client says that it is connected."""
    heard = Heard()
    async with plain(server.url, heard) as client:
        await client.subscribe("east.>", cb=heard.take)
        await late_pong(client, server)
        await eventually(lambda: reader_died(client))
        await connection.request("east.a", b"x")
        await asyncio.sleep(0.5)  # time to hear it
        assert (client.is_connected, heard.subjects) == (True, [])


@pytest.mark.parametrize("fault", [late_pong, garbage, closed_underneath])
async def test_2_a_dead_reader_of_ours(
    connection: Connection,
    server: EmbeddedServer,
    fault: Callable[[Client, EmbeddedServer], Awaitable[None]],
) -> None:
    """Whatever ends a client of ours, there is a new one within moments."""
    async with writing(connection) as writer, reading(connection) as reader:
        await eventually(lambda: reader.complete)
        await fault(connection._client, server)  # noqa: SLF001
        writer.offer("east.a", "after")
        took_s = await eventually(lambda: reader.complete and reader.table)
        await eventually(lambda: connection.generation == 2 and reader.complete)
    print(f"\n{fault.__name__}: caught up after {took_s:.2f} s")  # noqa: T201


async def test_3_acknowledgement_subjects_of_the_second_form(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Servers with the flag `js_ack_fc_v2`, the default one day: read by ours as ever."""
    flag, heard = "feature_flags { js_ack_fc_v2: true }", Heard()
    with embedded(tmp_path_factory.mktemp("v2"), extra_config=flag) as server:
        async with connected(server.url) as connection, plain(server.url, heard) as client:
            await ensure_stream(connection, STREAM_SETTINGS)
            async with writing(connection) as writer, reading(connection) as reader:
                await eventually(lambda: reader.complete)
                await client.jetstream().subscribe(
                    "east.>", stream=STREAM, cb=heard.take, ordered_consumer=True
                )
                for n in range(5):
                    writer.offer(f"east.{n}", "x")
                await eventually(lambda: len(reader.table) == 5)
                await eventually(lambda: reader_died(client))
                assert len(heard.subjects) < 5
                reader.consumer.resync("to see the snapshot")
                await eventually(lambda: reader.complete and len(reader.created) == 2)
                assert [d.in_snapshot for d in reader.deliveries] == [False] * 5 + [True] * 5


async def test_4_a_watch_after_a_restart(connection: Connection, server: EmbeddedServer) -> None:
    """When ours has caught up, and some time later still, a key-value watch has not."""
    async with (
        plain(server.url, reconnect_time_wait=0.1, max_reconnect_attempts=-1) as client,
        writing(connection) as writer,
        reading(connection) as reader,
    ):
        bucket = await client.jetstream().create_key_value(bucket="B", history=1)
        watch = await bucket.watchall()
        assert await watch.updates(timeout=5) is None  # nothing is there yet
        server.restart()
        await eventually(lambda: client.stats["reconnects"] and connection.generation == 2)
        await bucket.put("after", b"x")
        writer.offer("east.a", "after")
        took_s = await eventually(lambda: reader.complete and reader.table)
        print(f"\nrestart: caught up after {took_s:.2f} s")  # noqa: T201
        with pytest.raises(nats.errors.TimeoutError):
            await watch.updates(timeout=max(0.5, took_s))
        await watch.stop()


async def test_5_credentials_expire(tmp_path: Path) -> None:
    """The server cuts both off; with the renewed file ours comes back, and nats-py never does."""
    operator, file, heard = Operator(), tmp_path / "west.creds", Heard()
    operator.write_credentials(file, valid_s=3)
    with embedded(tmp_path / "nats", extra_config=operator.config) as server:
        options = {
            "user_jwt_cb": lambda: user_jwt(file),
            "signature_cb": lambda nonce: sign(file, nonce),
            "max_reconnect_attempts": -1,
        }
        async with (
            connected(server.url, credentials=file) as connection,
            plain(server.url, heard, reconnect_time_wait=0.1, **options) as client,
        ):
            await ensure_stream(connection, STREAM_SETTINGS)
            async with writing(connection) as writer, reading(connection) as reader:
                writer.offer("east.a", "1")
                await eventually(lambda: reader.complete and reader.table)
                await eventually(lambda: not connection.connected)
                writer.offer("east.a", "2")
                operator.write_credentials(file, valid_s=3600)
                took_s = await eventually(lambda: reader.table == {"east.a": b"2"})
                assert connection.generation >= 2
            await eventually(lambda: client.is_closed)
    print(f"\ncredentials renewed: caught up after {took_s:.2f} s")  # noqa: T201


async def test_6_a_denied_publication(tmp_path_factory: pytest.TempPathFactory) -> None:
    """nats-py waits for an answer that cannot come; ours says at once what is not allowed."""
    config = """authorization { users = [
      { user: half, password: x, permissions: { publish: ["$JS.API.>"], subscribe: [">"] } } ] }"""
    mine = {"user": "half", "password": "x"}
    with embedded(tmp_path_factory.mktemp("denying"), extra_config=config) as server:
        async with connected(server.url, **mine) as connection, plain(server.url, **mine) as client:
            await ensure_stream(connection, STREAM_SETTINGS)
            with pytest.raises(nats.errors.TimeoutError):
                await client.jetstream().publish("east.a", b"x", timeout=0.5)
            async with writing(connection) as writer, writer.publisher.quiet():
                pass
            with pytest.raises(PermissionDenied, match=r"east\.a"):
                await connection.request("east.a", b"x", timeout_s=60)


async def test_7_an_answer_is_lost(
    connection: Connection, proxied: Connection, proxy: TcpProxy
) -> None:
    """nats-py's future waits for ever; ours publishes again under the same id, and is done."""
    url, options = f"nats://127.0.0.1:{proxy.port}", {"reconnect_time_wait": 0.1}
    async with plain(url, **options) as client, writing(proxied) as writer:
        js: JetStreamContext = client.jetstream()
        proxy.drop(Direction.TO_CLIENT)
        future = await js.publish_async("east.plain", b"x")
        writer.offer("east.ours", "x")
        await messages_in_stream(connection, 2)
        proxy.heal()
        await writer.settled()
        await eventually(lambda: client.is_connected and client.stats["reconnects"])
        await asyncio.sleep(0.5)  # time for an answer, if one could still come
        assert not future.done()
        assert [s.duplicate for s in writer.stored] == [True]
        assert (await stream_info(connection, STREAM)).last_sequence == 2
        future.cancel()


async def test_8_reconnecting_fails_for_a_while(
    connection: Connection, server: EmbeddedServer
) -> None:
    """After some failures nats-py is closed for good; ours never gives up."""
    options: dict[str, Any] = {"reconnect_time_wait": 0.05, "max_reconnect_attempts": 3}
    async with plain(server.url, **options) as client, reading(connection) as reader:
        await eventually(lambda: reader.complete)
        server.kill()
        await eventually(lambda: client.is_closed)
        server.start()
        await eventually(lambda: reader.complete and connection.connected)
        assert client.is_closed


async def test_9_publishing_while_the_server_is_away(
    connection: Connection, server: EmbeddedServer
) -> None:
    """nats-py says that it failed, and sends it later; ours fails at once, and sends nothing."""
    options: dict[str, Any] = {"reconnect_time_wait": 0.1, "max_reconnect_attempts": -1}
    async with plain(server.url, **options) as client:
        server.kill()
        await eventually(lambda: client.is_reconnecting and not connection.connected)
        with pytest.raises(nats.errors.TimeoutError):
            await client.jetstream().publish("east.plain", b"x", timeout=0.3)
        began_s = time.monotonic()
        with pytest.raises(Disconnected):
            await connection.publish("east.ours", b"x")
        assert time.monotonic() - began_s < 0.3
        server.start()
        await eventually(lambda: client.is_connected and connection.connected)
        async with reading(connection) as reader:
            await eventually(lambda: "east.plain" in reader.table)
            assert "east.ours" not in reader.table


async def test_10_closing_when_nobody_reads(server: EmbeddedServer, proxy: TcpProxy) -> None:
    """nats-py waits for the peer to take what is pending; ours waits for a second."""
    url = f"nats://127.0.0.1:{proxy.port}"
    async with plain(url, pending_size=1 << 28) as client:
        async with connected(url) as connection:
            proxy.hold()
            for _ in range(200):
                await connection.publish("east.a", b"x" * 100_000)
                await client.publish("east.a", b"x" * 100_000)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 3
        closing = asyncio.create_task(client.close())
        await asyncio.wait([closing], timeout=2)
        assert not closing.done()
        proxy.heal()
        await closing
    assert server.child.running


CLUSTER = 'cluster {{ name: c, listen: "127.0.0.1:-1", routes: ["{route}"] }}'


async def test_12_addresses_that_servers_tell(tmp_path: Path) -> None:
    """nats-py goes around a proxy that refuses it; ours keeps to the address it was given."""
    nowhere = CLUSTER.format(route="nats://127.0.0.1:1")
    with embedded(tmp_path / "a", extra_config=nowhere, name="a") as first:
        beside = CLUSTER.format(route=route_of(first))
        with embedded(tmp_path / "b", extra_config=beside, name="b") as second:
            async with TcpProxy(first.port) as proxy:
                url, options = f"nats://127.0.0.1:{proxy.port}", {"reconnect_time_wait": 0.1}
                async with connected(url) as connection, plain(url, **options) as client:
                    await eventually(lambda: client.discovered_servers)
                    proxy.refuse()
                    await eventually(lambda: client.is_connected and client.stats["reconnects"])
                    assert client.connected_url.port in (first.port, second.port)
                    assert not connection.connected
                    proxy.heal()
                    await connection.wait_connected()
                    assert connection.generation == 2


def route_of(server: EmbeddedServer) -> str:
    """Return where other members of its cluster reach a server."""
    (file,) = (server.settings.directory / "ports").glob("*.ports")
    urls = msgspec.json.decode(file.read_bytes(), type=dict[str, list[str]])
    return urls["cluster"][0]
