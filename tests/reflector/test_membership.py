"""Clusters leave, die, and withdraw most of what they have; mirrors go when people want that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer
from heliograph.cli import membership
from heliograph.contract.headers import EPOCH
from heliograph.contract.names import ClusterId
from heliograph.membership.record import NAMESPACE
from tests.reflector.conftest import Join
from tests.support.joined import Cluster, JoinedClusters, eventually

pytestmark = pytest.mark.nats

EAST = ClusterId("east")
MANY = [f"web-{number}" for number in range(20)]
HELD = MANY[9:]  # withdrawn in this order: fewer than ten go before it is sure


def mirrors(cluster: Cluster) -> set[str]:
    """Return the names of the Services that stand in a cluster, with at least one address."""
    return {s["metadata"]["name"] for s in cluster.api.list("Service") if is_complete(cluster, s)}


def is_complete(cluster: Cluster, service: dict[str, dict[str, str]]) -> bool:
    return bool(cluster.backends(service["metadata"]["name"]))


async def all_mirrored(lab: JoinedClusters, names: set[str]) -> None:
    await eventually(lambda: mirrors(lab["west"]) == names)


def uids(cluster: Cluster) -> dict[str, str]:
    """Return which objects stand in a cluster."""
    kinds = ("Service", "EndpointSlice")
    found = [obj["metadata"] for kind in kinds for obj in cluster.api.list(kind)]
    return {meta["name"]: meta["uid"] for meta in found}


async def leave(lab: JoinedClusters, name: str) -> str:
    async with lab.client(name) as client:
        return await membership.leave(client, NAMESPACE)


async def come_back(lab: JoinedClusters, name: str) -> str:
    async with lab.client(name) as client:
        return await membership.come_back(client, NAMESPACE)


async def forget(lab: JoinedClusters, name: str, *, undo: bool = False) -> str:
    act = membership.remember if undo else membership.forget
    async with lab.client(name) as client:
        return await act(client, NAMESPACE, EAST)


async def confirm(lab: JoinedClusters, name: str) -> str:
    async with lab.client(name) as client:
        return await membership.confirm(client, NAMESPACE, EAST)


async def test_a_cluster_leaves_and_its_mirrors_go_everywhere(join: Join) -> None:
    """Those in other clusters and those in itself; nobody else's, and shared ones keep the rest."""
    async with join("east", "south", "west") as lab:
        east, south, west = (lab[name] for name in ("east", "south", "west"))
        east.export("of-east")
        for cluster in (east, south):
            cluster.export("of-both")
        south.export("of-south")
        await eventually(lambda: len(west.backends("of-both")) == 2 and west.backends("of-east"))
        await eventually(lambda: east.backends("of-south") and south.backends("of-east"))
        before = uids(west)

        said = await leave(lab, "east")

        assert "has left the ClusterSet" in said
        assert not east.service("of-south")
        await eventually(lambda: not west.service("of-east") and not south.service("of-east"))
        await eventually(lambda: len(west.backends("of-both")) == 1)
        assert [uids(west)[n] for n in ("of-both", "of-south")] == [
            before[n] for n in ("of-both", "of-south")
        ]
        assert east.service("of-east")  # the cluster's own Services are its own business


async def test_a_cluster_that_left_stays_away_until_it_is_told_to_come_back(join: Join) -> None:
    """Over restarts of its programs, whatever is labelled meanwhile; then all is as it was."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export()
        await all_mirrored(lab, {"cart"})
        await leave(lab, "east")
        for program in ("watcher", "reflector"):
            await lab.stop(program, "east")
        await lab.start_watcher("east")
        await lab.start_reflector("east")
        east.export("late")
        west.export("of-west")
        await eventually(lambda: east.watcher.ready and not east.watcher.pending)
        await lab.ready()

        assert (mirrors(west), east.service("of-west")) == (set(), None)

        assert "takes part in the ClusterSet again" in await come_back(lab, "east")
        assert "already" in await come_back(lab, "east")
        await all_mirrored(lab, {"cart", "late"})
        await eventually(lambda: east.backends("of-west"))


async def test_who_was_away_hears_that_a_cluster_left(join: Join) -> None:
    """A reflector that starts later removes the mirrors too, though the watcher is gone as well."""
    async with join("east", "west") as lab:
        lab["east"].export()
        await all_mirrored(lab, {"cart"})
        await lab.stop("reflector", "west")
        await leave(lab, "east")
        await lab.stop("watcher", "east")

        await lab.start_reflector("west")

        await eventually(lambda: not lab["west"].service() and not lab["west"].slices())


async def test_a_stale_stream_does_not_bring_a_cluster_back_that_left(
    join: Join, nats: EmbeddedServer, tmp_path: Path
) -> None:
    """The bus gets yesterday's backup, the watcher is gone, and the reflector restarts."""
    store, backup = nats.settings.directory, tmp_path / "backup"
    async with join("east", "west") as lab:
        lab["east"].export()
        await all_mirrored(lab, {"cart"})
        nats.stop()
        shutil.copytree(store, backup)
        nats.start()
        make_namespace(lab["west"])
        await leave(lab, "east")
        await lab.stop("watcher", "east")
        await eventually(lambda: "departed.east" in record(lab["west"]))

        nats.stop()
        shutil.rmtree(store)
        shutil.copytree(backup, store)
        nats.start()
        await lab.ready(["west"])
        assert uids_of_mirrors(lab["west"]) == {}
        await lab.stop("reflector", "west")
        await lab.start_reflector("west")
        await lab.ready(["west"])
        assert uids_of_mirrors(lab["west"]) == {}

        await come_back(lab, "east")
        await lab.start_watcher("east")
        await all_mirrored(lab, {"cart"})
        await eventually(lambda: "departed.east" not in record(lab["west"]))


def make_namespace(cluster: Cluster) -> None:
    """Make what `deploy/` makes: where the reflector keeps who left."""
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})


def record(cluster: Cluster) -> dict[str, str]:
    found = cluster.api.get("ConfigMap", NAMESPACE, "clusterset") or {}
    data: dict[str, str] = found.get("data", {})
    return data


def uids_of_mirrors(cluster: Cluster) -> dict[str, str]:
    return {name: uid for name, uid in uids(cluster).items() if name.startswith("cart")}


async def test_a_dead_cluster_is_forgotten_and_nobody_else(join: Join) -> None:
    """Its mirrors go at once, its addresses leave shared ones, and its stream is passed over."""
    async with join("east", "south", "west") as lab:
        west = lab["west"]
        for name in ("east", "south"):
            lab[name].export("of-both")
        lab["east"].export("of-east")
        await eventually(lambda: len(west.backends("of-both")) == 2 and west.backends("of-east"))
        before = uids(west)["of-both"]
        await lab.stop("watcher", "east")

        assert "forgets cluster east" in await forget(lab, "west")
        assert "already" in await forget(lab, "west")

        await eventually(lambda: not west.service("of-east") and not west.slices("of-east"))
        await eventually(lambda: len(west.backends("of-both")) == 1)
        assert uids(west)["of-both"] == before
        await eventually(lambda: lab["south"].backends("of-east"))  # it has forgotten nobody

        await lab.stop("reflector", "west")
        await lab.start_reflector("west")
        await lab.processed("south", "west")
        assert not west.service("of-east")


async def test_a_forgotten_cluster_that_speaks_is_not_heard_until_that_is_undone(
    join: Join,
) -> None:
    """The stale stream, and its watcher too: what it exports anew is not mirrored."""
    async with join("east", "west") as lab:
        lab["east"].export()
        await all_mirrored(lab, {"cart"})
        await forget(lab, "west")
        await eventually(lambda: not lab["west"].service())
        lab["east"].export("new")
        await eventually(lambda: not lab["east"].watcher.pending)
        await lab.ready(["west"])
        assert mirrors(lab["west"]) == set()

        assert "exports again" in await forget(lab, "west", undo=True)
        assert "has not forgotten" in await forget(lab, "west", undo=True)

        await all_mirrored(lab, {"cart", "new"})


async def test_other_decisions_are_no_reason_to_begin_anew(join: Join) -> None:
    """The watcher of a cluster that forgets another one goes on in the same incarnation."""
    epochs: list[str] = []
    async with join("east", "west") as lab, lab.bus("east") as bus:
        await bus.subscribe(
            "heliograph.v1.east.cluster.east", lambda m: epochs.append(m.headers[EPOCH])
        )
        async with lab.client("east") as client:
            await membership.forget(client, NAMESPACE, ClusterId("north"))
        count = len(epochs)
        await eventually(lambda: len(epochs) >= count + 5)

        assert len(set(epochs)) == 1


def held(lab: JoinedClusters) -> int:
    """Return how many removals west holds back."""
    return int(lab["west"].count("heliograph_held_removals", exporting="east"))


async def withdraw_all(lab: JoinedClusters) -> None:
    """Export many, let them be mirrored, and withdraw all at once."""
    for name in MANY:
        lab["east"].export(name)
    await all_mirrored(lab, set(MANY))
    for name in MANY:
        lab["east"].withdraw(name)
    await eventually(lambda: held(lab) >= len(HELD))


async def test_most_mirrors_going_at_once_is_held_and_said(join: Join) -> None:
    """A few are gone before it is sure; the others stay, with an Event and a metric."""
    async with join("east", "west") as lab:
        await withdraw_all(lab)

        assert set(HELD) <= mirrors(lab["west"])
        (event,) = await eventually(lambda: lab["west"].events("RemovalHeld"))
        assert "heliograph confirm east" in event["message"]
        assert (event["metadata"]["namespace"], event["type"]) == ("default", "Warning")
        assert not lab["west"].reflector.idle


async def test_what_is_held_goes_when_somebody_confirms(join: Join) -> None:
    """Of the cluster that was named, and only what is held at that moment."""
    async with join("east", "west") as lab:
        await withdraw_all(lab)

        assert "goes" in await confirm(lab, "west")

        await eventually(lambda: mirrors(lab["west"]) == set())
        await eventually(lambda: not held(lab))


async def test_what_is_held_goes_after_the_grace_time(join: Join) -> None:
    """Nobody said anything for so long."""
    async with join("east", "west", hold_s=2.0) as lab:
        await withdraw_all(lab)
        await eventually(lambda: mirrors(lab["west"]) == set())


async def test_what_is_exported_again_stays_untouched(join: Join) -> None:
    """The mistake is mended: the mirrors that were held are the same objects as before."""
    async with join("east", "west") as lab:
        await withdraw_all(lab)
        before = uids(lab["west"])
        for name in MANY:
            lab["east"].export(name)

        await all_mirrored(lab, set(MANY))
        await eventually(lambda: not held(lab))
        after = uids(lab["west"])
        assert [after[name] for name in HELD] == [before[name] for name in HELD]


async def test_forgetting_a_cluster_ends_what_is_held_of_it(join: Join) -> None:
    """The mirrors go, and the metric says at once that nothing is held any more."""
    async with join("east", "west") as lab:
        await withdraw_all(lab)

        await forget(lab, "west")

        await eventually(lambda: mirrors(lab["west"]) == set())
        await eventually(lambda: not held(lab))


async def test_a_listing_without_most_mirrors_is_held_too(join: Join) -> None:
    """Both were away, and the watcher comes back with the kubeconfig of another, empty cluster."""
    async with join("east", "west") as lab:
        for name in MANY:
            lab["east"].export(name)
        await all_mirrored(lab, set(MANY))
        await lab.stop("watcher", "east")
        await lab.stop("reflector", "west")
        for name in MANY:
            lab["east"].withdraw(name)

        await lab.start_watcher("east")
        await eventually(lambda: lab["east"].watcher.ready and not lab["east"].watcher.pending)
        await lab.start_reflector("west")

        await eventually(lambda: held(lab) == len(MANY))
        assert mirrors(lab["west"]) == set(MANY)


async def test_a_cluster_that_leaves_or_is_forgotten_is_not_held(join: Join) -> None:
    """People asked for that."""
    deciding: list[Callable[[JoinedClusters], object]] = [
        lambda lab: leave(lab, "east"),
        lambda lab: forget(lab, "west"),
    ]
    for decide in deciding:
        async with join("east", "west") as lab:
            for name in MANY:
                lab["east"].export(name)
            await all_mirrored(lab, set(MANY))
            await decide(lab)  # type: ignore[misc]
            await eventually(lambda lab=lab: mirrors(lab["west"]) == set())  # type: ignore[misc]
