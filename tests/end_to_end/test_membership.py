"""Leaving, forgetting and holding, on real API servers and with the commands that people type."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from heliograph.kube.client import Selection
from heliograph.kube.objects import SERVICES, Port, ServiceSpec
from heliograph.lab.access import ClusterAccess
from heliograph.marks import MANAGED_SELECTOR
from tests.end_to_end.support import Cluster, eventually, holds, join, remove_namespace

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]

HTTP = ServiceSpec(ports=(Port(name="http", port=80),))


async def heliograph(*arguments: str, cluster: Cluster) -> str:
    """Run a command in a cluster, to its end; return what it said."""
    kubeconfig = cluster.client.kubeconfig
    where = f"--kubeconfig={kubeconfig.path}@{kubeconfig.context}"
    command = [sys.executable, "-m", "heliograph", *arguments, where]
    ended = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def mirrors(cluster: Cluster) -> set[str]:
    """Return the names of the mirrors in the test's namespace."""
    selection = Selection(namespace=cluster.namespace, labels=MANAGED_SELECTOR)
    listing = await cluster.client.list(SERVICES, selection)
    return {service.metadata.name for service in listing.items}


async def are(cluster: Cluster, names: set[str]) -> bool:
    return await mirrors(cluster) == names


async def test_leaving_and_forgetting_take_the_mirrors_and_nobody_elses(
    accesses: Accesses,
) -> None:
    """East leaves; it comes back, and west forgets it; north's mirrors never change."""
    async with join(accesses, "east", "west", "north") as joined:
        east, west, north = (joined.clusters[name] for name in ("east", "west", "north"))
        await east.add_service("of-east", HTTP)
        await north.add_service("of-north", HTTP)
        await eventually(lambda: are(west, {"of-east", "of-north"}))
        await eventually(lambda: are(east, {"of-north"}))
        before = await west.service("of-north")
        try:
            assert "has left" in await heliograph("leave", cluster=east)
            await eventually(lambda: are(west, {"of-north"}))
            await eventually(lambda: are(north, set()))
            assert await mirrors(east) == set()

            await heliograph("leave", "--undo", cluster=east)
            await eventually(lambda: are(west, {"of-east", "of-north"}))
            await eventually(lambda: are(east, {"of-north"}))

            assert "forgets cluster east" in await heliograph("forget", "east", cluster=west)
            await eventually(lambda: are(west, {"of-north"}))
            assert await mirrors(north) == {"of-east"}
            await heliograph("forget", "east", "--undo", cluster=west)
            await eventually(lambda: are(west, {"of-east", "of-north"}))
            assert await west.service("of-north") == before
        finally:
            for cluster in (east, west):
                await remove_namespace(cluster, "heliograph")


async def test_most_mirrors_at_once_wait_for_a_word(accesses: Accesses) -> None:
    """Twenty Services lose their label at once: mirrors stay until somebody confirms."""
    names = {f"web-{number}" for number in range(20)}
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        for name in names:
            await east.add_service(name, HTTP)
        await eventually(lambda: are(west, names))
        for name in names:
            await east.delete_service(name)
        reflector = joined.programs["west"].reflector  # type: ignore[index]
        await eventually(lambda: not reflector.idle)

        async def most_are_there() -> bool:
            return len(await mirrors(west)) > len(names) // 2

        assert await holds(most_are_there, for_s=2)

        await heliograph("confirm", "east", cluster=west)
        await eventually(lambda: are(west, set()))
        await remove_namespace(west, "heliograph")
