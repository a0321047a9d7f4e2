"""A cluster in memory and its bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer
from heliograph.lab.memory import MemoryCluster
from tests.bus.support import embedded
from tests.support.clusters import memory_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Return a running API server."""
    async with memory_cluster() as running:
        yield running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Return a running nats-server."""
    async with embedded(tmp_path / "nats") as running:
        yield running
