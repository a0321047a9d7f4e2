"""A stream that is lost is made again, whatever the watcher is doing at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from heliograph import telemetry
from heliograph.bus import (
    Connection,
    EmbeddedServer,
    StreamMissing,
    delete_stream,
    stream_info,
    stream_names,
)
from heliograph.bus.background import alongside
from heliograph.contract.messages import ClusterAnnounced, encode
from heliograph.contract.subjects import Kind, stream_name
from heliograph.lab.memory import MemoryCluster
from heliograph.metrics import Metrics
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher
from tests.bus.support import connected
from tests.support.announcing import make_stream
from tests.support.builders import EAST, subject
from tests.support.clusters import client_of

pytestmark = pytest.mark.nats

CLUSTER = str(subject(Kind.CLUSTER, EAST))
STREAM = stream_name(EAST)
AGAIN_S = 20.0


@pytest.fixture
async def bus(server: EmbeddedServer) -> AsyncIterator[Connection]:
    """Return a connection to a bus with the stream of cluster east."""
    async with connected(server.url) as connection:
        await make_stream(connection)
        yield connection


@asynccontextmanager
async def watching(cluster: MemoryCluster, bus: Connection, folder: Path) -> AsyncIterator[Watcher]:
    """Run a watcher beside the body."""
    async with client_of(cluster.access, folder) as client:
        watcher = Watcher(
            WatcherSettings(cluster="east", lease_s=1.0, lease_period_s=0.1),
            client,
            bus,
            telemetry=telemetry.disabled(),
            metrics=Metrics("watcher", "east"),
        )
        async with alongside(watcher.run()):
            yield watcher


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds."""
    while not await condition():  # noqa: ASYNC110 - a stream tells nobody
        await asyncio.sleep(0.002)


async def there(bus: Connection) -> bool:
    """Tell whether there is a stream."""
    return STREAM in await stream_names(bus, CLUSTER)


async def announced(bus: Connection) -> bool:
    """Tell whether the stream is there and holds something: the cluster's announcement."""
    return await there(bus) and (await stream_info(bus, STREAM)).messages > 0


async def test_a_stream_lost_while_the_id_is_claimed(
    cluster: MemoryCluster, bus: Connection, tmp_path: Path
) -> None:
    """A watcher that starts waits for another's lease; the stream may be gone when that is out."""
    await bus.request(CLUSTER, encode(ClusterAnnounced(uid="another")), timeout_s=5)
    with capture_logs() as logs:
        async with watching(cluster, bus, tmp_path) as watcher, asyncio.timeout(AGAIN_S):
            while not any("waiting for its lease" in line["event"] for line in logs):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await delete_stream(bus, STREAM)
            await watcher.caught_up()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.04, 0.06, 0.08])
async def test_a_stream_lost_again_after_it_was_made(
    cluster: MemoryCluster, bus: Connection, tmp_path: Path, after_s: float
) -> None:
    """One that goes again before anything was stored in it is made again all the same."""
    async with watching(cluster, bus, tmp_path) as watcher, asyncio.timeout(AGAIN_S):
        await watcher.caught_up()
        await delete_stream(bus, STREAM)
        await until(lambda: there(bus))
        await asyncio.sleep(after_s)  # the watcher compares, then publishes
        await delete_stream(bus, STREAM)
        await until(lambda: announced(bus))


async def test_a_stream_lost_again_and_again(
    cluster: MemoryCluster, bus: Connection, tmp_path: Path
) -> None:
    """One that goes whenever it is made, also while it is compared, is made once that ends."""
    async with watching(cluster, bus, tmp_path) as watcher, asyncio.timeout(AGAIN_S):
        await watcher.caught_up()
        lost = 0
        while lost < 5:
            with suppress(StreamMissing):
                await delete_stream(bus, STREAM)
                lost += 1
        await until(lambda: announced(bus))
