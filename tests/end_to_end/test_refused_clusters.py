"""Clusters whose ranges overlap, on real API servers: the first stays, whatever is restarted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from heliograph.kube.objects import (
    SERVICE_CIDRS,
    ObjectMeta,
    Port,
    ServiceCIDR,
    ServiceCIDRSpec,
    ServiceSpec,
)
from heliograph.lab.access import ClusterAccess
from heliograph.membership.configmap import current, ensure_namespace
from heliograph.membership.record import NAMESPACE
from tests.end_to_end.conftest import RANGES
from tests.end_to_end.support import (
    Cluster,
    eventually,
    holds,
    prepared,
    remove_namespace,
    running,
)

pytestmark = [pytest.mark.real, pytest.mark.nats]

HTTP = ServiceSpec(ports=(Port(name="http", port=80),))
GROWN = ObjectMeta(name="grown")


async def serve(cluster: Cluster, name: str, ready: int, of: int) -> bool:
    """Tell whether so many backends of a Service are ready, of so many that it has."""
    conditions = [
        endpoint.conditions.ready
        for item in await cluster.slices(name)
        for endpoint in item.endpoints or ()
    ]
    return (conditions.count(True), len(conditions)) == (ready, of)


async def export(cluster: Cluster, name: str) -> None:
    """Export a Service that has a backend."""
    await cluster.add_service(name, HTTP)
    await cluster.add_slice(name, {"10.255.0.1": None})


@asynccontextmanager
async def keeping_records(*clusters: Cluster) -> AsyncIterator[None]:
    """Give clusters the namespace of the record, and take it away afterwards."""
    try:
        for cluster in clusters:
            await ensure_namespace(cluster.client, NAMESPACE)
        yield
    finally:
        for cluster in clusters:
            await remove_namespace(cluster, NAMESPACE)


@asynccontextmanager
async def grown(cluster: Cluster, cidr: str) -> AsyncIterator[None]:
    """Give a cluster one more range of cluster IPs, for the body."""
    made = ServiceCIDR(metadata=GROWN, spec=ServiceCIDRSpec(cidrs=(cidr,)))
    await cluster.client.create(SERVICE_CIDRS, made)
    try:
        yield
    finally:
        await cluster.client.delete(SERVICE_CIDRS, GROWN)


async def test_a_cluster_grows_into_another(accesses: dict[str, ClusterAccess]) -> None:
    """It is refused in all others, over a restart, and serves again as soon as that is mended."""
    async with prepared(accesses, "east", "west", "north") as (clusters, joined):
        east, west, north = (clusters[name] for name in ("east", "west", "north"))
        for cluster, name in ((east, "cart"), (north, "cart"), (north, "pears")):
            await export(cluster, name)
        async with keeping_records(east, west, north):
            async with running(joined):
                await eventually(lambda: serve(west, "cart", 2, 2))
                await eventually(lambda: serve(west, "pears", 1, 1))
                await eventually(lambda: serve(east, "pears", 1, 1))
                before = [await west.service(name) for name in ("cart", "pears")]

            async with grown(north, RANGES["east"][0]):
                async with running(joined):
                    await eventually(lambda: serve(west, "cart", 1, 2))
                    await eventually(lambda: serve(west, "pears", 0, 1))
                    await eventually(lambda: serve(east, "pears", 0, 1))
                record = (await current(west.client, NAMESPACE)).admitted

                async with running(joined):
                    assert await holds(lambda: serve(west, "cart", 1, 2))
                    assert [await west.service(name) for name in ("cart", "pears")] == before
                assert (await current(west.client, NAMESPACE)).admitted == record

            async with running(joined):
                await eventually(lambda: serve(west, "cart", 2, 2))
                await eventually(lambda: serve(west, "pears", 1, 1))
                assert [await west.service(name) for name in ("cart", "pears")] == before


async def test_a_mended_cluster_serves_again_at_once(accesses: dict[str, ClusterAccess]) -> None:
    """In the time of one write for each of its mirrors, without a restart of anything."""
    async with prepared(accesses, "east", "west", "north") as (clusters, joined):
        east, west, north = (clusters[name] for name in ("east", "west", "north"))
        async with running(joined):
            await export(north, "pears")
            await eventually(lambda: serve(west, "pears", 1, 1))
            async with grown(north, RANGES["west"][0]):
                await eventually(lambda: serve(west, "pears", 0, 1))
                await eventually(lambda: serve(east, "pears", 0, 1))  # west was there first

            mended_s = asyncio.get_running_loop().time()
            await eventually(lambda: serve(west, "pears", 1, 1))
            assert asyncio.get_running_loop().time() - mended_s < 5.0  # a second at rest
