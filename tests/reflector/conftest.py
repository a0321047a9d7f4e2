"""What the reflector's tests share: one bus for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from heliograph.bus import EmbeddedServer
from tests.support.joined import JoinedClusters, bus_server, joined

Join = Callable[..., AbstractAsyncContextManager[JoinedClusters]]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Run a bus that all clusters share."""
    async with bus_server(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def join(tmp_path: Path, nats: EmbeddedServer) -> Join:
    """Give what joins clusters by the shared bus."""

    def start(*names: str, **settings: Any) -> AbstractAsyncContextManager[JoinedClusters]:  # noqa: ANN401
        return joined(tmp_path, *names, urls=dict.fromkeys(names, nats.url), **settings)

    return start
