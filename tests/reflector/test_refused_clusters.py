"""Clusters whose ranges overlap: the one admitted first stays, the other is refused, loudly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from heliograph.contract.messages import Feedback, decode_feedback
from heliograph.contract.names import ClusterId
from heliograph.membership.record import NAMESPACE, read
from tests.reflector.conftest import Join
from tests.support.joined import NAMESPACE as SHOP
from tests.support.joined import Cluster, JoinedClusters, eventually

pytestmark = pytest.mark.nats

NORTH, EAST = map(ClusterId, ("north", "east"))
OF_NORTH, OF_EAST, OF_WEST = "10.110.0.0/16", "10.111.0.0/16", "10.112.0.0/16"
EQUAL = {"east": {"service_cidrs": (OF_NORTH,)}}
REFUSED = ("RangeOverlap",)


def add_range(cluster: Cluster, cidr: str) -> None:
    """Give a cluster one more range of cluster IPs."""
    made: dict[str, Any] = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR"}
    cluster.api.apply(made | {"metadata": {"name": "more"}, "spec": {"cidrs": [cidr]}})


def take_range(cluster: Cluster) -> None:
    cluster.api.delete("ServiceCIDR", "", "more")


def recorded(cluster: Cluster) -> dict[ClusterId, tuple[str, ...]]:
    """Return what the record of a cluster names."""
    found = cluster.api.get("ConfigMap", NAMESPACE, "clusterset") or {}
    return {c: entry.ranges for c, entry in read(found.get("data", {})).admitted.items()}


def readiness(cluster: Cluster, name: str = "cart") -> list[bool]:
    return sorted(cluster.backends(name).values())


def export(cluster: Cluster, *names: str) -> None:
    """Export Services that have a backend."""
    for name in names:
        cluster.export(name)
        cluster.set_pods({cluster.pod(1): {}}, name)


async def north_then_east(lab: JoinedClusters) -> None:
    """Start all; north is admitted before east, which has the same ranges, is heard."""
    for name in ("north", "west"):
        await lab.start_watcher(name)
    await lab.start_reflector("west")
    await eventually(lambda: NORTH in recorded(lab["west"]))
    await lab.start_watcher("east")
    await eventually(lambda: lab["west"].count_refused(EAST))


async def test_the_cluster_admitted_first_stays(join: Join) -> None:
    """Whatever the other one exports is not taken, nor joined; it is said once, as an error."""
    with capture_logs() as logs:
        async with join("north", "east", "west", clusters=EQUAL, start=False) as lab:
            north, east, west = lab["north"], lab["east"], lab["west"]
            export(north, "cart")
            export(east, "cart", "bread")
            await north_then_east(lab)
            await eventually(lambda: west.reflector.refused(SHOP, "bread") == REFUSED)
            await lab.processed("north", "west")

            assert len(west.backends()) == 1
            assert west.service("bread") is None
            assert recorded(west).keys() == {NORTH}

    (said,) = [log for log in logs if log["event"] == "cluster refused"]
    assert (said["log_level"], said["exporting"]) == ("error", EAST)
    assert "of cluster north, admitted first" in said["error"]
    assert not [log for log in logs if log["event"] == "not mirrored"]


async def test_a_restart_decides_the_same(join: Join) -> None:
    """The record says who was first, whoever is heard first and although east is before north."""
    async with join("north", "east", "west", clusters=EQUAL, start=False) as lab:
        west = lab["west"]
        export(lab["east"], "bread")
        export(lab["north"], "cart")
        await north_then_east(lab)
        await eventually(west.backends)
        await eventually(lambda: west.events("Mirrored"))
        writes = west.api.writes
        await lab.stop("reflector", "west")
        await lab.stop("watcher", "north")

        await lab.start_reflector("west")
        await eventually(lambda: west.count_refused(EAST))
        await lab.start_watcher("north")
        await west.reflector.caught_up()

        assert west.api.writes == writes
        assert west.service("bread") is None
        assert readiness(west) == [True]


async def test_a_cluster_that_grows_into_another_is_silenced_until_that_is_mended(
    join: Join,
) -> None:
    """Its mirrors stay, not ready; the other's serve on; and all is well a moment after."""
    async with join("north", "east", "west") as lab:
        east, west = lab["east"], lab["west"]
        export(east, "bread", "cart")
        export(lab["north"], "cart")
        await eventually(lambda: readiness(west) == [True, True] and readiness(west, "bread"))
        before = {name: west.service(name) for name in ("bread", "cart")}

        add_range(east, OF_NORTH)
        await eventually(lambda: readiness(west, "bread") == [False])
        await eventually(lambda: readiness(west) == [False, True])
        export(east, "butter")
        await eventually(lambda: west.reflector.refused(SHOP, "butter") == REFUSED)
        await lab.processed("north", "west")
        assert west.service("butter") is None
        assert {name: west.service(name) for name in before} == before

        take_range(east)
        began_s = asyncio.get_running_loop().time()
        await eventually(lambda: readiness(west) == [True, True])
        await eventually(lambda: readiness(west, "bread") == readiness(west, "butter") == [True])

        assert asyncio.get_running_loop().time() - began_s < 3.0  # a second, on a machine at rest
        assert {name: west.service(name) for name in before} == before
        assert not west.count_refused(EAST)


async def test_own_ranges_win(join: Join) -> None:
    """Even over a cluster that has been admitted long ago; other clusters do not mind."""
    async with join("north", "east", "west") as lab:
        export(lab["east"], "cart")
        for name in ("north", "west"):
            await eventually(lambda name=name: readiness(lab[name]) == [True])  # type: ignore[misc]

        add_range(lab["west"], OF_EAST)

        await eventually(lambda: readiness(lab["west"]) == [False])
        await lab.processed("north", "west")
        assert readiness(lab["north"]) == [True]
        assert lab["north"].reflector.refused(SHOP, "cart") == ()


async def test_what_a_refused_cluster_withdraws_goes(join: Join) -> None:
    """A withdrawal is evidence, whoever says it."""
    async with join("north", "east", "west") as lab:
        east, west = lab["east"], lab["west"]
        export(east, "bread")
        await eventually(lambda: readiness(west, "bread") == [True])
        add_range(east, OF_NORTH)
        await eventually(lambda: readiness(west, "bread") == [False])

        east.withdraw("bread")

        await eventually(lambda: west.service("bread") is None and not west.slices("bread"))


async def test_the_exporting_cluster_is_told_that_a_service_is_refused(
    join: Join,
) -> None:
    """Its feedback says so, since nothing came of its message."""
    heard: list[Feedback | None] = []
    async with join("north", "east", "west", clusters=EQUAL, start=False) as lab:
        await north_then_east(lab)
        async with lab.bus("west") as connection:
            await connection.subscribe(
                "heliograph.feedback.v1.west.east.service.>",
                lambda message: heard.append(decode_feedback(message.payload)),
            )
            lab["east"].export("bread")
            await eventually(lambda: heard)

    assert heard[0]
    assert heard[0].outcome == "refused"
