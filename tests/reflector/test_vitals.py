"""Programs at a real bus tell the truth about themselves: readiness, metrics, Kubernetes Events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from heliograph.bus import EmbeddedServer
from heliograph.health import Condition
from tests.reflector.conftest import Join
from tests.support.joined import NAMESPACE, JoinedClusters, eventually

pytestmark = pytest.mark.nats


def failing(conditions: Iterable[Condition]) -> dict[str, str]:
    """Return why which conditions are not met."""
    return {one.name: one.fails for one in conditions if not one.holds}


def names(conditions: Iterable[Condition]) -> set[str]:
    """Return which conditions there are."""
    return {one.name for one in conditions}


def all_failing(lab: JoinedClusters) -> Iterator[dict[str, str]]:
    """Yield what fails of each program of west."""
    west = lab["west"]
    for program in (west.watcher, west.reflector, west.peerer):
        yield failing(program.conditions())


def well(lab: JoinedClusters) -> bool:
    """Tell whether every condition of each program of west is met."""
    return not any(all_failing(lab))


async def test_a_bus_that_is_away_makes_programs_not_ready_and_not_dead(
    join: Join, nats: EmbeddedServer
) -> None:
    """The condition names its address; the lease runs out, and all is well when the bus is back."""
    async with join("east", "west", start=False) as lab:
        lab.watching = {"lease_s": 0.5}
        for name in ("east", "west"):
            await lab.start_watcher(name)
        await lab.start_reflector("west")
        await lab.start_peerer("west")
        west = lab["west"]
        importers = (west.reflector, west.peerer)
        await eventually(lambda: all("import east" in names(p.conditions()) for p in importers))
        await eventually(lambda: well(lab))

        nats.stop()
        away = f"there is no connection to {nats.url}; it is dialled"
        theirs = f"there is no connection to its bus, {nats.url}; it is dialled"
        await eventually(lambda: all(found.get("bus") == away for found in all_failing(lab)))
        for program in importers:
            assert failing(program.conditions()) == {"bus": away, "import east": theirs}
        await eventually(lambda: "lease" in failing(west.watcher.conditions()))
        lease = failing(west.watcher.conditions())["lease"]
        assert lease.startswith("it was not renewed for ")
        assert west.count("heliograph_ready_condition", condition="bus") == 0
        assert west.count("heliograph_bus_connected", bus=nats.url) == 0
        for pulse in (west.watcher.pulse, west.reflector.pulse, west.peerer.pulse):
            assert pulse.fails == ""

        nats.start()
        await eventually(lambda: well(lab))
        assert west.count("heliograph_ready_condition", condition="bus") == 1


async def test_an_api_server_that_is_away_closes_watches(join: Join) -> None:
    """Each watch is named; nobody is dead, and all are ready when it answers again."""
    async with join("east", "west") as lab:
        await lab.start_peerer("west")
        await eventually(lambda: well(lab))
        west = lab["west"]
        west.api.pause()
        west.api.drop_watches()
        await eventually(lambda: "watch services" in failing(west.watcher.conditions()))
        why = "the API server's watch is not open; it is opened again"
        for kinds, program in (
            (("services", "endpointslices", "nodes", "configmaps"), west.watcher),
            (("services", "endpointslices", "namespaces", "configmaps"), west.reflector),
            (("configmaps",), west.peerer),
        ):
            await eventually(
                lambda kinds=kinds, program=program: (
                    {  # type: ignore[misc]
                        f"watch {kind}" for kind in kinds
                    }
                    <= failing(program.conditions()).keys()
                )
            )
            assert failing(program.conditions())["watch configmaps"] == why
            assert program.pulse.fails == ""
        assert west.count("heliograph_watch_alive", resource="services") == 0
        west.api.resume()
        await eventually(lambda: well(lab))
        assert west.count("heliograph_watch_alive", resource="services") == 1


async def test_what_is_not_heard_yet_makes_an_importer_not_ready(join: Join) -> None:
    """First its own decisions are read, then each exporting cluster must confirm what it says."""
    async with join("east", "west", start=False, shared=False) as lab:
        west = lab["west"]
        west.api.pause()
        await lab.start_reflector("west")
        found = failing(west.reflector.conditions())
        assert found["decisions"] == "ConfigMap clusterset or the own ranges were not read yet"
        assert found["import east"].startswith("not all that it says was heard yet")
        west.api.resume()
        await eventually(lambda: failing(west.reflector.conditions()).keys() == {"import east"})
        assert west.count("heliograph_import_complete", exporting="east") == 0

        await lab.start_watcher("east")
        await eventually(lambda: not failing(west.reflector.conditions()))
        assert west.count("heliograph_import_complete", exporting="east") == 1


async def test_a_watcher_is_ready_once_its_lease_is_published(join: Join) -> None:
    """Before that, cluster and stream were not compared, and no lease is held."""
    async with join("east", start=False) as lab:
        api = lab["east"].api
        api.pause()
        await lab.start_watcher("east")
        found = failing(lab["east"].watcher.conditions())
        assert found["snapshot"] == "cluster and stream were not compared yet"
        assert found["lease"] == "it was not published yet"
        api.resume()
        await eventually(lambda: lab["east"].watcher.ready)


async def test_the_metrics_follow_what_happens(join: Join) -> None:
    """Propagation of Services and of their slices, leases, plans, tables and queues."""
    async with join("east", "west") as lab:
        west, east = lab["west"], lab["east"]
        east.export(mode="pods")

        def propagated(kind: str) -> float:
            labels = {"exporting": "east", "importing": "west", "kind": kind}
            return west.count("heliograph_propagation_seconds_count", **labels)

        await eventually(lambda: propagated("service"))
        east.set_pods({east.pod(1): {}})
        await eventually(lambda: propagated("endpoints"))
        await eventually(
            lambda: west.count("heliograph_import_pending_messages", exporting="east") == 0
        )
        assert west.count("heliograph_table_entries", table="exports", exporting="east") == 1
        assert west.count("heliograph_table_entries", table="mirrors", exporting="") == 1
        assert west.count("heliograph_lease_duration_seconds", exporting="east") == 10
        assert west.count("heliograph_lease_age_seconds", exporting="east") < 10
        assert west.count("heliograph_import_silence_seconds", exporting="east") < 10
        assert west.count("heliograph_plan_seconds_count") > 0
        assert west.count("heliograph_operations_planned_total", operation="CreateService") == 1
        await eventually(lambda: west.count("heliograph_queue_entries") == 0)


async def test_an_export_is_told_once_and_not_at_each_restart(join: Join) -> None:
    """On the Service in east, and on its mirror in west; withdrawn and exported again, anew."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        service = east.export()
        (told,) = await eventually(lambda: east.events("Exported"))
        about = told["involvedObject"]
        assert (about["kind"], about["namespace"], about["name"]) == ("Service", NAMESPACE, "cart")
        assert about["uid"] == service["metadata"]["uid"]
        assert told["message"] == (
            "Service shop/cart is exported by cluster east: other clusters may mirror it"
        )
        (made,) = await eventually(lambda: west.events("Mirrored"))
        mirror = west.service()
        assert mirror is not None
        assert made["involvedObject"]["uid"] == mirror["metadata"]["uid"]

        await lab.stop("watcher", "east")
        await lab.start_watcher("east")
        await lab.stop("reflector", "west")
        await lab.start_reflector("west")
        await lab.ready()
        east.export("bread")
        await eventually(lambda: len(east.events("Exported")) == 2)
        await eventually(lambda: len(west.events("Mirrored")) == 2)
        names = [event["involvedObject"]["name"] for event in east.events("Exported")]
        assert sorted(names) == ["bread", "cart"]

        east.withdraw()
        await eventually(lambda: west.service() is None)
        east.export()
        await eventually(lambda: len(east.events("Exported")) == 3)


async def test_a_refusal_is_told_on_the_service_of_that_name_in_both_clusters(join: Join) -> None:
    """Each Event carries the UID by which `kubectl describe` finds it."""
    async with join("east", "west") as lab:
        foreign = lab["west"].export("taken", exported=False)
        exported = lab["east"].export("taken")
        (here,) = await eventually(lambda: lab["west"].events("ForeignObject"))
        (there,) = await eventually(lambda: lab["east"].events("ForeignObject"))
        assert here["type"] == there["type"] == "Warning"
        assert here["involvedObject"]["uid"] == foreign["metadata"]["uid"]
        assert there["involvedObject"]["uid"] == exported["metadata"]["uid"]
        conflict = {"exporting": "east", "reason": "ForeignObject"}
        assert lab["west"].count("heliograph_conflicts", **conflict) == 1
