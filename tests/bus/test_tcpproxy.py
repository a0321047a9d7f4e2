"""The proxy's faults are what they say, and they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from heliograph.lab.tcpproxy import Direction, TcpProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def echo() -> AsyncIterator[TcpProxy]:
    """Return a proxy in front of a server that sends everything back."""
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            while received := await reader.read(1000):
                writer.write(received)
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, TcpProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def client(proxy: TcpProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def says(streams: Streams, text: bytes, timeout_s: float = 0.2) -> bytes:
    """Send `text`, and return what comes back in time."""
    reader, writer = streams
    writer.write(text)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            return await reader.read(1000)
    return b""


async def test_it_passes_on(echo: TcpProxy) -> None:
    """Without faults it is only a longer way."""
    async with client(echo) as one, client(echo) as other:
        assert await says(one, b"1", 5) == b"1"
        assert await says(other, b"2", 5) == b"2"
        assert echo.connections == 2
    async with asyncio.timeout(5):
        while echo.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_reset(echo: TcpProxy) -> None:
    """What stands is reset; what comes is welcome."""
    async with client(echo) as streams:
        assert await says(streams, b"1", 5) == b"1"
        echo.reset()
        with pytest.raises(ConnectionResetError):
            await says(streams, b"2", 5)
    async with client(echo) as streams:
        assert await says(streams, b"3", 5) == b"3"


async def test_refusing(echo: TcpProxy) -> None:
    """Every new connection is reset, until healed."""
    echo.refuse()
    async with client(echo) as streams:
        with pytest.raises(ConnectionResetError):
            await says(streams, b"1", 5)
    echo.heal()
    async with client(echo) as streams:
        assert await says(streams, b"2", 5) == b"2"


async def test_a_black_hole_gives_back(echo: TcpProxy) -> None:
    """Nothing flows while it holds; everything does afterwards, on the same connection."""
    async with client(echo) as streams:
        assert await says(streams, b"1", 5) == b"1"
        echo.hold()
        assert await says(streams, b"2") == b""
        echo.heal()
        assert await says(streams, b"", 5) == b"2"


@pytest.mark.parametrize("way", Direction)
async def test_lost_bytes_end_in_a_reset(echo: TcpProxy, way: Direction) -> None:
    """Bytes vanish one way; a connection that lost some does not survive the healing."""
    async with client(echo) as lossy, client(echo) as idle:
        assert await says(lossy, b"1", 5) == b"1"
        assert await says(idle, b"1", 5) == b"1"
        echo.drop(way)
        assert await says(lossy, b"2") == b""
        echo.heal()
        with pytest.raises(ConnectionResetError):
            await says(lossy, b"3", 5)
        assert await says(idle, b"4", 5) == b"4"


async def test_delay(echo: TcpProxy) -> None:
    """Both ways take their time."""
    loop = asyncio.get_running_loop()
    async with client(echo) as streams:
        echo.delay_s = 0.1
        began_s = loop.time()
        assert await says(streams, b"1", 5) == b"1"
        assert loop.time() - began_s >= 0.2


async def test_nobody_behind_it() -> None:
    """A server that is not there looks like a reset."""
    async with TcpProxy(1) as proxy, client(proxy) as streams:
        with pytest.raises(ConnectionResetError):
            await says(streams, b"1", 5)


def test_it_has_no_port_before_it_starts() -> None:
    """The mistake is named."""
    with pytest.raises(RuntimeError, match="async with"):
        _ = TcpProxy(1).port
