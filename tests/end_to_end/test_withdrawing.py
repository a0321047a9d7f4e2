"""Readiness, withdrawal and return, one after another; clusters in a ring, and one name of two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from heliograph.bus import ConnectionSettings, StreamSettings, connect, ensure_stream
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name, stream_subjects
from heliograph.kube.objects import ENDPOINT_SLICES, Port, ServiceSpec
from heliograph.lab.access import ClusterAccess
from heliograph.marks import ENDPOINTS_ANNOTATION, EXPORT_LABEL
from tests.end_to_end.support import (
    Cluster,
    JoinedClusters,
    ensure_node,
    eventually,
    holds,
    join,
)

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]

HTTP = ServiceSpec(ports=(Port(name="http", port=80),))
POD = "10.244.7.1"
RING = ("east", "west", "north")


async def gone(cluster: Cluster, name: str) -> bool:
    return await cluster.service(name) is None and not await cluster.slices(name)


async def readiness(cluster: Cluster, name: str) -> dict[str, bool | None]:
    """Return the addresses behind a Service, and whether each is ready."""
    return {
        address: endpoint.conditions.ready if endpoint.conditions else None
        for item in await cluster.slices(name)
        for endpoint in item.endpoints or ()
        for address in endpoint.addresses
    }


async def shows(cluster: Cluster, name: str, want: dict[str, bool]) -> None:
    """Wait until a mirror has these addresses, ready or not."""

    async def right() -> bool:
        return await cluster.service(name) is not None and await readiness(cluster, name) == want

    await eventually(right)


@asynccontextmanager
async def with_pods(accesses: Accesses) -> AsyncIterator[JoinedClusters]:
    """Join east and west; east has a node whose pod range its pods' addresses lie in."""
    async with join(accesses, "east", "west") as joined:
        await ensure_node(joined.clusters["east"].client, "node-1", "10.244.0.0/16")
        yield joined


@pytest.mark.parametrize("mode", ["pods", "cluster-ip"])
async def test_a_change_of_readiness_alone(accesses: Accesses, mode: str) -> None:
    """The Service's resource version stays what it was, and yet the mirror follows at once."""
    async with with_pods(accesses) as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        backends = await east.add_slice("api", {POD: None})
        service = await east.add_service("api", HTTP)
        annotation = {"metadata": {"annotations": {ENDPOINTS_ANNOTATION: mode}}}
        service = await east.patch_service("api", annotation)
        address = POD if mode == "pods" else service.spec.cluster_ip
        await shows(west, "api", {address: True})

        for ready in (False, True, False):
            endpoint = {"addresses": [POD], "conditions": {"ready": ready, "serving": ready}}
            where = backends.metadata
            await east.client.merge_patch(
                ENDPOINT_SLICES, where.namespace, where.name, {"endpoints": [endpoint]}
            )
            await shows(west, "api", {address: ready})

        assert await east.service("api") == service


@pytest.mark.parametrize("window_s", [120, 1])
async def test_withdrawn_and_exported_again(accesses: Accesses, window_s: int) -> None:
    """The very same Service, within the time in which the bus drops duplicates, and after it."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await set_window(joined.url, window_s)
        exported = await east.add_service("again", HTTP)
        await shows(west, "again", {exported.spec.cluster_ip: False})

        for _ in range(2):
            await east.patch_service("again", {"metadata": {"labels": {EXPORT_LABEL: None}}})
            await eventually(lambda: gone(west, "again"))
            await asyncio.sleep(1.5 if window_s == 1 else 0)  # the window itself
            await east.patch_service("again", {"metadata": {"labels": {EXPORT_LABEL: "true"}}})
            await shows(west, "again", {exported.spec.cluster_ip: False})


async def set_window(url: str, window_s: int) -> None:
    """Let the stream of east remember message ids for so long."""
    settings = StreamSettings(
        name=stream_name(ClusterId("east")),
        subjects=stream_subjects(ClusterId("east")),
        duplicate_window_s=window_s,
    )
    async with connect(ConnectionSettings(urls=(url,), name="test")) as bus:
        await ensure_stream(bus, settings)


async def test_a_ring_of_three_drains_when_the_source_goes(accesses: Accesses) -> None:
    """Though people label all mirrors for export, none is exported, and no ghost circles on."""
    async with join(accesses, *RING) as joined:
        clusters = joined.clusters
        exported = await clusters["east"].add_service("ring", HTTP)
        want = {exported.spec.cluster_ip: False}
        for name in ("west", "north"):
            await shows(clusters[name], "ring", want)
            await clusters[name].patch_service(
                "ring", {"metadata": {"labels": {EXPORT_LABEL: "true"}}}
            )
        marker = await clusters["west"].add_service("marker", HTTP)  # published after the label
        for name in ("east", "north"):
            await shows(clusters[name], "marker", {marker.spec.cluster_ip: False})
        for name in ("west", "north"):
            assert await readiness(clusters[name], "ring") == want
        assert await clusters["east"].slices("ring") == []

        await clusters["east"].delete_service("ring")

        async def drained() -> bool:
            return all([await gone(cluster, "ring") for cluster in clusters.values()])

        await eventually(drained)
        assert await holds(drained, for_s=2)


@pytest.mark.parametrize("order", [("east", "west"), ("west", "east")], ids=["older", "younger"])
async def test_one_name_of_two_clusters(accesses: Accesses, order: Sequence[str]) -> None:
    """Whichever withdraws first, the other's address stays, and so does the mirror's cluster IP."""
    async with join(accesses, *RING) as joined:
        clusters, north = joined.clusters, joined.clusters["north"]
        addresses = {}
        for name in ("east", "west"):
            made = await clusters[name].add_service("shared", HTTP, exported=False)
            addresses[name] = made.spec.cluster_ip
            await asyncio.sleep(1)  # creation times have seconds: so it is known who is older
        for name in ("east", "west"):
            label = {"metadata": {"labels": {EXPORT_LABEL: "true"}}}
            await clusters[name].patch_service("shared", label)
        await shows(north, "shared", dict.fromkeys(addresses.values(), False))
        before = await north.service("shared")

        first, second = order
        await clusters[first].delete_service("shared")
        await shows(north, "shared", {addresses[second]: False})

        async def stays() -> bool:
            after = await north.service("shared")
            return (
                before is not None
                and after is not None
                and (after.metadata.uid, after.spec.cluster_ip)
                == (before.metadata.uid, before.spec.cluster_ip)
            )

        assert await holds(stays, for_s=0.5)
        await clusters[second].delete_service("shared")
        await eventually(lambda: gone(north, "shared"))
