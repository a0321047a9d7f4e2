"""After every fault, reader and writer end up with the truth, soon, and without being told how.

The figures are printed (`pytest -s`); the goal is three seconds after the fault's end, the
assertions are generous, since the machine may be busy.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from heliograph.bus import (
    Connection,
    Disconnected,
    EmbeddedServer,
    RequestTimeout,
    ensure_stream,
    stream_info,
)
from heliograph.lab.tcpproxy import Direction, TcpProxy
from tests.bus.support import (
    STREAM,
    STREAM_SETTINGS,
    Reading,
    Writing,
    connected,
    eventually,
    reading,
    writing,
)

pytestmark = pytest.mark.nats


@contextlib.asynccontextmanager
async def both(writers: Connection, readers: Connection) -> AsyncIterator[tuple[Writing, Reading]]:
    """Write and read, with something in the stream already."""
    async with writing(writers) as writer, reading(readers) as reader:
        for n in range(20):
            writer.offer(f"east.{n}", "before")
        await writer.settled()
        await eventually(lambda: reader.complete and len(reader.table) == 20)
        yield writer, reader


async def caught_up(writer: Writing, reader: Reading, name: str) -> None:
    """Wait for the truth, and print how long it took since now."""
    truth = {s.publication.subject: s.publication.payload for s in writer.stored}
    truth |= {f"east.{n}": b"during" for n in range(0, 20, 2)}
    took_s = await eventually(lambda: reader.complete and reader.table == truth, 20)
    await writer.settled()
    print(f"\n{name}: caught up after {took_s:.2f} s ({reader.interruptions})")  # noqa: T201


def change(writer: Writing) -> None:
    for n in range(0, 20, 2):
        writer.offer(f"east.{n}", "during")


@pytest.mark.parametrize("kind", ["terminated", "killed"])
async def test_the_server_restarts(
    connection: Connection, server: EmbeddedServer, kind: str
) -> None:
    """What was offered while it was away is stored and read after it is back."""
    async with both(connection, connection) as (writer, reader):
        (server.stop if kind == "terminated" else server.kill)()
        change(writer)
        await eventually(lambda: reader.interruptions and not connection.connected)
        await asyncio.sleep(1)  # the faulty time itself
        server.start()
        await caught_up(writer, reader, f"server {kind} for 1 s")
        assert writer.doubts == ["reconnected"]
        assert len(set(reader.created)) == 1


async def test_the_server_loses_its_store(connection: Connection, server: EmbeddedServer) -> None:
    """Reader and writer both learn that it is another stream; nothing is held back or invented."""
    async with both(connection, connection) as (writer, reader):
        server.restart(keep_store=False)
        missing = f"stream {STREAM} does not exist"
        await eventually(lambda: missing in reader.interruptions)
        change(writer)
        await eventually(lambda: missing in writer.doubts)
        await ensure_stream(connection, STREAM_SETTINGS)
        truth = {f"east.{n}": b"during" for n in range(0, 20, 2)}
        took_s = await eventually(lambda: reader.complete and reader.table == truth)
        print(f"\nstore lost: caught up after {took_s:.2f} s")  # noqa: T201
        assert len(set(reader.created)) == 2
        assert writer.doubts == ["reconnected", missing, f"stream {STREAM} went backwards from 20"]


@pytest.mark.parametrize("fault_s", [1, 6])
async def test_the_server_freezes(
    connection: Connection, server: EmbeddedServer, fault_s: float
) -> None:
    """SIGSTOP: nothing is closed, nothing answers; then it goes on as if nothing had been."""
    async with both(connection, connection) as (writer, reader):
        server.pause()
        change(writer)
        await asyncio.sleep(fault_s)  # the faulty time itself
        server.resume()
        await caught_up(writer, reader, f"server frozen for {fault_s} s")


@pytest.mark.parametrize("fault_s", [1, 6])
async def test_a_black_hole(
    connection: Connection, proxied: Connection, proxy: TcpProxy, fault_s: float
) -> None:
    """Connections stay open and nothing passes, then everything does."""
    async with both(connection, proxied) as (writer, reader):
        proxy.hold()
        change(writer)
        await asyncio.sleep(fault_s)  # the faulty time itself
        proxy.heal()
        await caught_up(writer, reader, f"black hole for {fault_s} s")


@pytest.mark.parametrize("fault_s", [1, 6])
async def test_bytes_are_lost(
    connection: Connection, proxied: Connection, proxy: TcpProxy, fault_s: float
) -> None:
    """Packets vanish both ways, and at last the path is reset."""
    async with both(connection, proxied) as (writer, reader):
        proxy.drop(*Direction)
        change(writer)
        await asyncio.sleep(fault_s)  # the faulty time itself
        proxy.heal()
        await caught_up(writer, reader, f"packets lost for {fault_s} s")


async def test_a_reset(connection: Connection, proxied: Connection, proxy: TcpProxy) -> None:
    """One RST, and the path is as good as before."""
    async with both(connection, proxied) as (writer, reader):
        proxy.reset()
        change(writer)
        await caught_up(writer, reader, "reset")


async def test_resets_for_a_while(
    connection: Connection, proxied: Connection, proxy: TcpProxy
) -> None:
    """Every attempt is reset, until one is not."""
    async with both(connection, proxied) as (writer, reader):
        proxy.refuse()
        change(writer)
        await asyncio.sleep(2)  # the faulty time itself
        proxy.heal()
        await caught_up(writer, reader, "resets for 2 s")


async def test_writer_and_reader_behind_the_same_fault(
    proxied: Connection, proxy: TcpProxy
) -> None:
    """The same for a writer that is cut off: nothing is lost, nothing stored twice."""
    async with both(proxied, proxied) as (writer, reader):
        proxy.drop(*Direction)
        change(writer)
        await asyncio.sleep(4)  # long enough to be noticed before the end
        proxy.heal()
        await caught_up(writer, reader, "writer and reader cut off for 4 s")
        assert len(writer.stored) == 30
        assert (await stream_info(proxied, STREAM)).last_sequence == 30


async def test_what_connections_say_meanwhile(
    connection: Connection, server: EmbeddedServer
) -> None:
    """While it is down everything fails at once; it can be waited for; the generation rises."""
    events: list[str] = []
    stop = connection.observe(lambda event: events.append(type(event).__name__))
    waiting = asyncio.create_task(connection.request("nobody.answers", timeout_s=60))
    silent = await connection.subscribe("nobody.answers", lambda _: None)
    await asyncio.sleep(0)
    server.kill()
    with pytest.raises(Disconnected):
        await waiting
    assert not connection.connected
    with pytest.raises(Disconnected, match=r"east\.a"):
        await connection.publish("east.a")
    with pytest.raises(Disconnected):
        await connection.request("east.a")
    server.start()
    async with asyncio.timeout(10):
        await connection.wait_connected()
    assert (connection.generation, events) == (2, ["Lost", "Restored"])
    stop()
    with pytest.raises(RequestTimeout, match=r"no answer to nobody\.answers within 0\.1 s"):
        await connection.request("nobody.answers", timeout_s=0.1)
    await silent.unsubscribe()


async def test_subscriptions_outlive_their_client(
    connection: Connection, server: EmbeddedServer
) -> None:
    """A subscription made before, during or after an outage hears what comes after it."""
    heard: list[str] = []
    await connection.subscribe("before.>", lambda m: heard.append(m.subject))
    ended = await connection.subscribe("ended.>", lambda m: heard.append(m.subject))
    server.kill()
    await eventually(lambda: not connection.connected)
    during = await connection.subscribe("during.>", lambda m: heard.append(m.subject))
    await ended.unsubscribe()
    server.start()
    await connection.wait_connected()
    await connection.subscribe("after.>", lambda m: heard.append(m.subject))
    for subject in ("before.x", "ended.x", "during.x", "after.x"):
        await connection.publish(subject)
    await eventually(lambda: len(heard) == 3)
    assert heard == ["before.x", "during.x", "after.x"]
    await during.unsubscribe()


async def test_closing_is_quick_whatever_the_peer_does(
    server: EmbeddedServer, proxy: TcpProxy
) -> None:
    """A peer that does not read holds up nobody's shutdown."""
    async with connected(f"nats://127.0.0.1:{proxy.port}") as connection:
        proxy.hold()
        for _ in range(200):
            await connection.publish("east.a", b"x" * 100_000)
        closing = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - closing < 3
    assert server.child.running
