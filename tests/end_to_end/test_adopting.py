"""People followed Kilo's page by hand before: their mirrors are taken over, in place."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from heliograph.cli.services import ServiceName, adopt
from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from heliograph.kube.objects import ENDPOINTS, Port, ServiceSpec
from heliograph.lab.access import ClusterAccess
from heliograph.marks import is_ours
from tests.end_to_end.support import Cluster, eventually, holds, join

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]
HTTP = ServiceSpec(ports=(Port(name="http", port=80),))


async def add_endpoints(cluster: Cluster, name: str, address: str) -> None:
    """Create what Kilo's page says: Endpoints with the other cluster's cluster IP."""
    body = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "http", "port": 80}]}],
    }
    await cluster.client.post_raw(ENDPOINTS.path(cluster.namespace), msgspec.json.encode(body))


async def endpoints_exist(cluster: Cluster, name: str) -> bool:
    try:
        await cluster.client.get(ENDPOINTS, cluster.namespace, name)
    except NotFound:
        return False
    return True


async def test_a_mirror_made_by_hand_is_adopted(accesses: Accesses) -> None:
    """It keeps its cluster IP, its Endpoints go, one slice is left, and traffic never stops."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        exported = await east.add_service("manual", HTTP, exported=False)
        by_hand = await west.add_service("manual", HTTP, exported=False)
        await add_endpoints(west, "manual", exported.spec.cluster_ip)

        async def addressed() -> bool:
            return exported.spec.cluster_ip in await west.addresses("manual")

        await eventually(addressed)
        await east.patch_service(
            "manual", {"metadata": {"labels": {"heliograph.io/export": "true"}}}
        )
        reflector = joined.programs["west"].reflector  # type: ignore[index]
        await eventually(lambda: "ForeignObject" in reflector.refused(west.namespace, "manual"))

        async with asyncio.TaskGroup() as tasks:
            reachable = tasks.create_task(holds(addressed, for_s=4))
            async with KubeClient("west", west.client.kubeconfig) as client:
                said = await adopt(client, ServiceName(west.namespace, "manual"))
        assert reachable.result(), "the mirror had no address for a moment"
        assert "managed by Heliograph now" in said

        async def adopted() -> bool:
            return len(await west.slices("manual")) == 1 and not await endpoints_exist(
                west, "manual"
            )

        await eventually(adopted)
        mirror, (only,) = await west.service("manual"), await west.slices("manual")
        assert mirror is not None
        assert is_ours(mirror)
        assert is_ours(only)
        assert mirror.spec.cluster_ip == by_hand.spec.cluster_ip
        assert mirror.metadata.uid == by_hand.metadata.uid


async def test_a_service_with_pods_of_its_own_is_not_adopted(accesses: Accesses) -> None:
    """A Service with a selector is no mirror made by hand."""
    async with join(accesses, "east", "west") as joined:
        west = joined.clusters["west"]
        spec = ServiceSpec(ports=HTTP.ports, selector={"app": "web"})
        before = await west.add_service("own", spec, exported=False)

        with pytest.raises(InputError, match="has a selector"):
            await adopt(west.client, ServiceName(west.namespace, "own"))

        assert await west.service("own") == before


async def test_an_adopted_mirror_that_nobody_exports_is_kept(accesses: Accesses) -> None:
    """Adopting removes nothing by itself: there is no evidence that anything ended."""
    async with join(accesses, "east", "west") as joined:
        west = joined.clusters["west"]
        await west.add_service("lonely", HTTP, exported=False)
        await add_endpoints(west, "lonely", "10.96.0.77")
        async with KubeClient("west", west.client.kubeconfig) as client:
            await adopt(client, ServiceName(west.namespace, "lonely"))

        async def kept() -> bool:
            return await west.service("lonely") is not None and "10.96.0.77" in (
                await west.addresses("lonely")
            )

        await eventually(kept)
        assert await holds(kept)
