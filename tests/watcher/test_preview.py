"""A dry run says what a watcher would publish, and publishes nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer, stream_names
from heliograph.contract.messages import NodeAnnounced, ServiceExported
from heliograph.contract.subjects import Kind
from heliograph.lab.memory import MemoryCluster
from services.watcher.preview import preview
from services.watcher.settings import WatcherSettings
from tests.bus.support import connected
from tests.support.announcing import announcing, deliveries, make_stream
from tests.support.builders import (
    CREATED,
    EAST,
    KEY,
    OTHER_KEY,
    kilo_node,
    node,
    service,
    subject,
)
from tests.support.clusters import client_of, node_json, service_json

pytestmark = pytest.mark.nats

SETTINGS = WatcherSettings(cluster=EAST)
CART, NODE = subject(Kind.SERVICE, "cart"), subject(Kind.NODE, "n1")
ALIAS = service("alias", type="ExternalName", external_name="example.com", ports=())


async def test_the_first_run_of_a_watcher(
    cluster: MemoryCluster, server: EmbeddedServer, tmp_path: Path
) -> None:
    """Without a stream everything is new, and no stream is made."""
    cluster.apply(service_json(service()))
    cluster.apply(service_json(ALIAS))
    cluster.apply(service_json(service("leaving", meta={"finalizers": ("example.com/wait",)})))
    cluster.delete("Service", "shop", "leaving")
    cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with connected(server.url) as bus, client_of(cluster.access, tmp_path) as client:
        told = await preview(SETTINGS, client, bus)
        assert await stream_names(bus, "heliograph.>") == ()

    assert told[:2] == [f"publish {NODE}", f"publish {CART}"]
    assert told[2].startswith("refuse  Service shop/alias is of type ExternalName")
    assert len(told) == 3


async def test_a_later_run_tells_differences(
    cluster: MemoryCluster, server: EmbeddedServer, tmp_path: Path
) -> None:
    """What the stream holds and the cluster does not offer would be withdrawn, and only that."""
    cluster.apply(node_json(node("n1")))
    cluster.apply(service_json(service()))
    exported = ServiceExported(ready=False, exported_at=CREATED)
    announced = {
        subject(Kind.SERVICE, "old"): exported,
        NODE: NodeAnnounced(public_key=OTHER_KEY),
    }
    async with connected(server.url) as bus, client_of(cluster.access, tmp_path) as client:
        await make_stream(bus)
        async with announcing(bus) as before:
            await before.announce("all", announced)
        told = await preview(SETTINGS, client, bus)
        assert set(await deliveries(bus)) == set(map(str, announced))

    assert told == [f"publish {CART}", f"withdraw {subject(Kind.SERVICE, 'old')}"]


async def test_what_was_resolved_is_no_difference(
    cluster: MemoryCluster, server: EmbeddedServer, tmp_path: Path
) -> None:
    """A dry run asks no server of names: what the stream says of a name stands."""
    announced = NodeAnnounced(
        public_key=KEY,
        endpoint="gw.example.com:51820",
        endpoint_ip="203.0.113.9",
        pod_cidrs=("10.42.0.0/24",),
        private_ip="10.0.0.4",
        tunnel_ip="10.4.0.1/16",
        granularity="full",
    )
    cluster.apply(node_json(kilo_node(endpoint="gw.example.com:51820", seen_s=time.time())))
    async with connected(server.url) as bus, client_of(cluster.access, tmp_path) as client:
        await make_stream(bus)
        async with announcing(bus) as before:
            await before.announce("all", {NODE: announced})
        set_to_full = WatcherSettings(cluster=EAST, kilo_granularity="full")
        assert await preview(set_to_full, client, bus) == []
        assert await preview(SETTINGS, client, bus) == [f"publish {NODE}"]
