"""Fixtures: a fresh server with a stream for each test, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heliograph.bus import Connection, EmbeddedServer, ensure_stream
from heliograph.lab.tcpproxy import TcpProxy
from tests.bus.support import STREAM_SETTINGS, connected, embedded


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """Return a running server with an empty store."""
    with embedded(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[Connection]:
    """Return a connection to a server that has the stream."""
    async with connected(server.url) as made:
        await ensure_stream(made, STREAM_SETTINGS)
        yield made


@pytest.fixture
async def proxy(server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    """Return a proxy in front of the server."""
    async with TcpProxy(server.port) as running:
        yield running


@pytest.fixture
async def proxied(proxy: TcpProxy, connection: Connection) -> AsyncIterator[Connection]:
    """Return a connection by way of the proxy; the stream is there."""
    assert connection.connected
    async with connected(f"nats://127.0.0.1:{proxy.port}") as made:
        yield made
