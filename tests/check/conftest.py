"""An API server in memory, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.kube.client import KubeClient
from heliograph.lab.memory import MemoryCluster
from tests.support.clusters import client_of, memory_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Return a running API server."""
    async with memory_cluster() as running:
        yield running


@pytest.fixture
async def client(cluster: MemoryCluster, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """Return a client of it."""
    async with client_of(cluster.access, tmp_path) as opened:
        yield opened
