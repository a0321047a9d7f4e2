"""What these tests share: a bus, clusters in memory with real programs, and the command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from heliograph.bus import EmbeddedServer
from heliograph.cli import explaining
from heliograph.run.settings import BusSettings
from tests.support.joined import JoinedClusters, bus_server, joined

Join = Callable[..., AbstractAsyncContextManager[JoinedClusters]]
Links = dict[str, dict[str, str]]
Explain = Callable[..., Awaitable[Links]]
FIRST = "first"
"""The key of the first broken link among the links; missing if none is broken."""


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


@pytest.fixture
def explain(tmp_path: Path, nats: EmbeddedServer, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Give what explains a Service from east to west, by name; the exit code is checked too."""

    async def run(
        service: str = "shop/cart",
        *,
        exporting: str = "east",
        known: tuple[str, ...] = ("east", "west"),
        nats_url: str = "",
    ) -> Links:
        asked = explaining.ask(
            service,
            clusters=[f"{name}={tmp_path / name}@{name}" for name in known],
            exporting=[exporting],
            importing=["west"],
        )
        capsys.readouterr()
        buses = explaining.Buses(settings=BusSettings(nats=(nats_url or nats.url,)))
        code = await explaining.explain(buses, asked, as_json=True)
        (said,) = (text for text in capsys.readouterr().out.splitlines() if text[:1] == "{")
        (chain,) = json.loads(said)["chains"]  # programs of this process log beside it
        broken = {FIRST: chain["broken"]} if chain["broken"] else {}
        assert code == len(broken)
        return {link["name"]: link for link in chain["links"]} | broken

    return run
