"""A cluster that dies: its addresses are not ready until it is back, and nothing else changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from heliograph.bus import Message
from heliograph.cli import membership
from heliograph.contract.messages import Link, LinkStated, RefusalStated, decode, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, all_clusters_filter, parse_subject
from heliograph.membership.record import NAMESPACE as HELIOGRAPH
from tests.reflector.conftest import Join
from tests.support.joined import NAMESPACE as SHOP
from tests.support.joined import Cluster, JoinedClusters, eventually

pytestmark = pytest.mark.nats

LEASE_S = 1.0
SILENT, GAUGE = ("ClusterSilent",), "heliograph_silent_clusters"


def readiness(cluster: Cluster, name: str = "cart") -> list[bool]:
    return sorted(cluster.backends(name).values())


@asynccontextmanager
async def mirrored(join: Join, *names: str, **settings: Any) -> AsyncIterator[JoinedClusters]:  # noqa: ANN401
    """Join clusters with short leases to west; each exports a ready Service of its own name."""
    async with join(*names, "west", start=False) as lab:
        lab.watching = {"lease_s": LEASE_S}
        for name in names:
            export(lab[name], name)
            await lab.start_watcher(name)
        await lab.start_watcher("west")
        await lab.start_reflector("west", **settings)
        for name in names:
            await eventually(lambda name=name: readiness(lab["west"], name) == [True])  # type: ignore[misc]
        yield lab


def export(cluster: Cluster, name: str) -> None:
    """Export a Service that has a backend."""
    cluster.export(name)
    cluster.set_pods({cluster.pod(1): {}}, name)


async def state(lab: JoinedClusters, **paths: bool) -> None:
    """Let the agent of west's node n1 state which clusters answer; of others it says nothing."""
    links = tuple(
        Link(exporting=name, answering=1) if answers else Link(exporting=name, silent=("n1",))
        for name, answers in paths.items()
    )
    async with lab.bus("west") as bus:
        await bus.publish("heliograph.v1.west.link.n1", encode(LinkStated(links=links)))


async def die(lab: JoinedClusters, name: str, **paths: bool) -> None:
    """Stop a cluster's watcher, and let the agents state what they see then."""
    await lab.stop("watcher", name)
    await state(lab, **{name: False}, **paths)


async def test_a_cluster_that_dies_is_not_ready_until_it_is_heard_again(join: Join) -> None:
    """Its mirror stays as it is but for that; it is said once, everywhere people look."""
    told: list[object] = []

    def take(message: Message) -> None:
        told.append(decode(parse_subject(message.subject), message.payload))

    with capture_logs() as logs:
        async with mirrored(join, "east") as lab, lab.bus("west") as bus:
            await bus.subscribe(all_clusters_filter(Kind.REFUSAL), take)
            west, before = lab["west"], lab["west"].service("east")

            await die(lab, "east")
            await eventually(lambda: readiness(west, "east") == [False])

            (item,) = west.slices("east")
            assert item["endpoints"][0]["conditions"]["serving"] is False
            assert west.service("east") == before
            assert west.count(GAUGE, exporting="east") == 1
            assert west.reflector.refused(SHOP, "east") == SILENT
            await eventually(lambda: len(west.events("ClusterSilent")) == 1)
            (stated,) = await eventually(lambda: told)
            assert isinstance(stated, RefusalStated)
            assert (stated.exporting, stated.reason) == ("east", "ClusterSilent")

            await lab.start_watcher("east")
            await eventually(lambda: readiness(west, "east") == [True])
            assert west.service("east") == before
            assert west.count(GAUGE, exporting="east") == 0
            assert west.reflector.refused(SHOP, "east") == ()
            await eventually(lambda: len(told) == 2)

    said = [log["log_level"] for log in logs if log["event"].startswith("cluster silent")]
    assert said == ["error", "info"]


async def test_an_answer_of_one_node_brings_it_back(join: Join) -> None:
    """Although its watcher stays away."""
    async with mirrored(join, "east") as lab:
        await die(lab, "east")
        await eventually(lambda: readiness(lab["west"], "east") == [False])

        await state(lab, east=True)

        await eventually(lambda: readiness(lab["west"], "east") == [True])


async def test_a_path_that_falls_silent_long_after_the_lease(join: Join) -> None:
    """The order means nothing, and no timer is waited for."""
    async with mirrored(join, "south", "east") as lab:
        await state(lab, east=True, south=False)
        await lab.stop("watcher", "east")
        await lab.stop("watcher", "south")
        await eventually(lambda: readiness(lab["west"], "south") == [False])
        assert readiness(lab["west"], "east") == [True]

        await state(lab, east=False, south=False)

        await eventually(lambda: readiness(lab["west"], "east") == [False])


async def test_either_alone_changes_nothing(join: Join) -> None:
    """Not a lease that is out, nor a path that is silent, nor one of which nobody says anything."""
    async with mirrored(join, "answers", "lives", "unknown", "dies") as lab:
        west = lab["west"]
        await state(lab, answers=True, lives=False)
        for name in ("answers", "unknown"):
            await lab.stop("watcher", name)

        # leases are equally long, so those of the others are out before this one's is
        await die(lab, "dies", answers=True, lives=False)
        await eventually(lambda: readiness(west, "dies") == [False])
        await lab.processed("lives", "west")

        for name in ("answers", "lives", "unknown"):
            assert readiness(west, name) == [True], name
            assert west.reflector.refused(SHOP, name) == ()


async def test_a_policy_may_ask_for_the_lease_alone(join: Join) -> None:
    """Where nobody says whether nodes answer; where somebody does, that counts."""
    async with mirrored(join, "answers", "unknown", unheard_clusters="not-ready") as lab:
        await state(lab, answers=True)
        await lab.stop("watcher", "answers")
        await lab.stop("watcher", "unknown")

        await eventually(lambda: readiness(lab["west"], "unknown") == [False])
        assert readiness(lab["west"], "answers") == [True]


async def test_a_restart_comes_to_the_same_and_writes_nothing(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is silent is known from the stream before anything is planned."""
    monkeypatch.setattr("heliograph.imports.heard.CLOCKS_DIFFER_S", 0.0)  # they do not, here
    async with mirrored(join, "east", "north") as lab:
        west = lab["west"]
        await die(lab, "east", north=True)
        await eventually(lambda: readiness(west, "east") == [False])
        await eventually(lambda: west.events("ClusterSilent"))
        mirrors = west.service("east"), west.slices("east")

        await lab.stop("reflector", "west")
        await lab.start_reflector("west")
        await west.reflector.caught_up()
        await lab.processed("north", "west")

        assert (west.service("east"), west.slices("east")) == mirrors
        assert west.count(GAUGE, exporting="east") == 1


async def test_other_clusters_behind_the_same_mirror_take_over(join: Join) -> None:
    """Only the dead one's addresses are not ready, though it is the oldest export."""
    async with mirrored(join, "east", "north") as lab:
        west = lab["west"]
        for name in ("east", "north"):
            export(lab[name], "cart")
        await eventually(lambda: readiness(west) == [True, True] and west.reflector.idle)
        before = west.service()

        await die(lab, "east", north=True)

        await eventually(lambda: readiness(west) == [False, True])
        assert west.service() == before
        await lab.start_watcher("east")
        await eventually(lambda: readiness(west) == [True, True])


async def test_a_silent_cluster_that_is_forgotten_is_not_silent_any_more(join: Join) -> None:
    """Its mirrors go, as people want it, and nothing is said against it from then on."""
    async with mirrored(join, "east") as lab:
        west = lab["west"]
        await die(lab, "east")
        await eventually(lambda: west.count(GAUGE, exporting="east") == 1)

        async with lab.client("west") as client:
            await membership.forget(client, HELIOGRAPH, ClusterId("east"))

        await eventually(lambda: west.service("east") is None)
        assert west.count(GAUGE, exporting="east") == 0
