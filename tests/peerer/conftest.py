"""What the peerer's tests share: clusters whose nodes run Kilo, on one bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from heliograph.bus import EmbeddedServer
from tests.support.joined import bus_server
from tests.support.peering import Peered, peered

Peer = Callable[..., AbstractAsyncContextManager[Peered]]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Run a bus that all clusters share."""
    async with bus_server(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def peer(tmp_path: Path, nats: EmbeddedServer) -> Peer:
    """Give what runs clusters with Kilo, watchers and peerers on the shared bus."""

    def start(*names: str, **settings: Any) -> AbstractAsyncContextManager[Peered]:  # noqa: ANN401
        return peered(tmp_path, *names, url=nats.url, **settings)

    return start
