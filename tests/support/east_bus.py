"""Fixtures: a bus for each test, with the stream of cluster east, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.bus import Connection, EmbeddedServer
from tests.bus.support import connected, embedded
from tests.support.announcing import make_stream


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Return a running server."""
    async with embedded(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[Connection]:
    """Return a connection to a server that has the stream."""
    async with connected(server.url) as made:
        await make_stream(made)
        yield made
