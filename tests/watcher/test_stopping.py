"""A watcher that is stopped publishes first what it has seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from heliograph import telemetry
from heliograph.announce.reading import read_stream
from heliograph.bus import Connection, ConnectionSettings, EmbeddedServer, ServerSettings, connect
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import JsonObject, MemoryCluster, MemoryClusterSettings
from heliograph.metrics import Metrics
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher

EAST = ClusterId("east")


def service(name: str) -> JsonObject:
    labels = {"heliograph.io/export": "true"}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    spec = {"ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


async def exported(connection: Connection) -> set[str]:
    """Return the names of the Services in the stream."""
    reading = await read_stream(connection, EAST, (Kind.SERVICE,))
    return {subject.rpartition(".")[2] for subject in reading.live}


@pytest.mark.nats
async def test_what_is_on_its_way_is_published_before_the_end(tmp_path: Path) -> None:
    """A change seen while the bus stands still is stored, though the watcher is stopping."""
    async with (
        EmbeddedServer(ServerSettings(directory=tmp_path / "nats")) as server,
        MemoryCluster(MemoryClusterSettings(name="east")) as cluster,
    ):
        write_kubeconfig(tmp_path / "kubeconfig", [cluster.access])
        settings = ConnectionSettings(urls=(server.url,), name="test")
        kubeconfig = Kubeconfig(path=tmp_path / "kubeconfig")
        async with KubeClient("east", kubeconfig) as client, connect(settings) as connection:
            watcher = Watcher(
                WatcherSettings(cluster="east", lease_period_s=60),  # no lease in between
                client,
                connection,
                telemetry=telemetry.disabled(),
                metrics=Metrics("watcher", "east"),
            )
            running = asyncio.create_task(watcher.run())
            await watcher.caught_up()
            cluster.apply(service("first"))
            while await exported(connection) != {"first"} or watcher.pending:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            server.pause()
            cluster.apply(service("second"))
            while not watcher.pending:  # noqa: ASYNC110 - the watch line takes a moment
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.sleep(0)
            server.resume()
            with pytest.raises(asyncio.CancelledError):
                await running

            assert await exported(connection) == {"first", "second"}
