"""What the tests of faults share: changes of every kind, and the truth that must follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from heliograph.bus import EmbeddedServer
from heliograph.lab.tcpproxy import TcpProxy
from tests.support.joined import Cluster, JoinedClusters, bus_server, eventually, joined

CHANGED, GONE, NEW = "changed", "gone", "new"
_PORT = 81


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """East exports and west imports over one bus, each by a proxy of its own.

    Attributes:
        server: The bus.
        ways: The proxy of east's watcher, and that of west's reflector.
    """

    lab: JoinedClusters
    server: EmbeddedServer
    ways: tuple[TcpProxy, TcpProxy]

    def change(self) -> None:
        """Let one Service change, one go, and one come."""
        east = self.lab["east"]
        east.change(CHANGED, ports=[{"name": "http", "port": _PORT}])
        east.withdraw(GONE)
        east.export(NEW)

    @property
    def right(self) -> bool:
        """Whether west has what `change` made of it, and nothing else."""
        return mirrors(self.lab["west"]) == {CHANGED: _PORT, NEW: 80}


def mirrors(cluster: Cluster) -> dict[str, int]:
    """Return the port of each mirror that has a slice of that port."""
    found = {}
    for service in cluster.api.list("Service", "shop"):
        name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
        if [p["port"] for item in cluster.slices(name) for p in item["ports"]] == [port]:
            found[name] = port
    return found


@asynccontextmanager
async def two_clusters(folder: Path) -> AsyncIterator[Stage]:
    """Run east and west with two mirrors in west."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bus_server(folder / "nats"))
        ways = (
            await stack.enter_async_context(TcpProxy(server.port)),
            await stack.enter_async_context(TcpProxy(server.port)),
        )
        urls = {
            n: f"nats://127.0.0.1:{w.port}" for n, w in zip(("east", "west"), ways, strict=True)
        }
        lab = await stack.enter_async_context(
            joined(folder, "east", "west", urls=urls, shared=True)
        )
        for name in (CHANGED, GONE):
            lab["east"].export(name)
        await eventually(lambda: mirrors(lab["west"]) == {CHANGED: 80, GONE: 80})
        await lab.ready()
        yield Stage(lab=lab, server=server, ways=ways)
