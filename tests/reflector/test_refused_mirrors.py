"""What a plan does about the mirrors of a cluster that is refused as a whole."""

from __future__ import annotations

import pytest

from heliograph.kube.objects import ENDPOINT_SLICES, EndpointSlice
from heliograph.marks import SOURCE_CLUSTER_LABEL
from services.reflector.table import ServiceKey
from tests.support.exporter import ExporterModel
from tests.support.mirrors import (
    CLUSTER,
    EAST,
    HEADLESS,
    NEW,
    OLD,
    PODS,
    SOUTH,
    WEB,
    backend,
    but,
    pods,
)
from tests.support.world import World

OTHER = ServiceKey("shop", "bread")
SOUTHERN = but(CLUSTER, service_cidrs=("10.111.0.0/16",))
OF_SOUTH = but(WEB, cluster_ips=("10.111.0.7",))


def east(**changes: object) -> ExporterModel:
    exporter = ExporterModel()
    exporter.export(but(WEB, **changes))
    return exporter


def south(**changes: object) -> ExporterModel:
    exporter = ExporterModel(SOUTH, SOUTHERN)
    exporter.export(but(OF_SOUTH, **changes))
    return exporter


def slices(world: World, cluster: str) -> list[EndpointSlice]:
    found = world.server.all(ENDPOINT_SLICES)
    return [s for s in found if s.metadata.labels.get(SOURCE_CLUSTER_LABEL) == cluster]


def conditions(world: World, cluster: str) -> set[tuple[bool | None, bool | None]]:
    """Return ready and serving of all backends of a cluster."""
    return {
        (endpoint.conditions.ready, endpoint.conditions.serving)
        for item in slices(world, cluster)
        for endpoint in item.endpoints or ()
    }


def test_nothing_new_is_mirrored_of_a_refused_cluster() -> None:
    """Nor is it told for each Service: the cluster is refused, once."""
    world = World(east())
    world.hear()
    world.picture.refused = frozenset({EAST})

    plan = world.plan()

    assert plan.operations == ()
    assert plan.refusals == ()


def test_a_refused_cluster_joins_no_mirror() -> None:
    """The mirror of another one stands as if it exported nothing."""
    world = World(south(exported_at=NEW))
    world.settle()
    before = world.service()
    world.exporters[EAST] = east(exported_at=OLD)
    world.restart()
    world.picture.refused = frozenset({EAST})
    world.settle()

    assert world.service() == before
    assert world.pointing_at() == [SOUTH]


def test_a_mirror_that_stands_is_silenced_and_nothing_else() -> None:
    """Its Service stays as it is, its slices keep their addresses, and nothing is deleted."""
    exporter = ExporterModel()
    exporter.export(PODS)
    terminating = backend("10.42.1.2", ready=False, serving=True, terminating=True)
    exporter.put_slice(pods("10.42.1.1", terminating))
    world = World(exporter)
    world.settle()
    service, (before,) = world.service(), slices(world, EAST)

    world.picture.refused = frozenset({EAST})
    done = world.reconcile()

    assert done == ["ReplaceSlice east"]
    assert world.service() == service
    assert conditions(world, EAST) == {(False, False)}
    (after,) = slices(world, EAST)
    assert [e.addresses for e in after.endpoints] == [e.addresses for e in before.endpoints]
    assert world.reconcile() == []


def test_it_serves_again_once_the_cluster_is_admitted() -> None:
    """Its slices follow the export again, and the Service is still the same."""
    world = World(east())
    world.settle()
    service = world.service()
    world.picture.refused = frozenset({EAST})
    world.settle()

    world.picture.refused = frozenset()
    world.settle()

    assert world.service() == service
    assert conditions(world, EAST) == {(True, True)}


def test_a_refused_cluster_changes_nothing() -> None:
    """Neither new ports nor another type reach a mirror before the cluster is admitted."""
    exporter = east()
    world = World(exporter)
    world.settle()
    service = world.service()
    world.picture.refused = frozenset({EAST})
    exporter.export(HEADLESS)
    world.settle()

    assert world.service() == service
    assert len(slices(world, EAST)) == 1


def test_what_a_refused_cluster_withdraws_is_removed() -> None:
    """A withdrawal is evidence, whoever says it."""
    exporter = east()
    world = World(exporter)
    world.settle()
    world.picture.refused = frozenset({EAST})
    world.settle()
    exporter.withdraw()
    world.settle()

    assert world.service() is None
    assert slices(world, EAST) == []


@pytest.mark.parametrize("oldest", [EAST, SOUTH])
def test_the_other_cluster_behind_a_mirror_goes_on(oldest: str) -> None:
    """It serves alone; the Service changes with it only if it decides about it."""
    times = {EAST: NEW, SOUTH: NEW} | {oldest: OLD}
    southern = south(exported_at=times[SOUTH])
    world = World(east(exported_at=times[EAST]), southern)
    world.settle()
    before = world.service()
    world.picture.refused = frozenset({EAST})
    world.settle()
    assert world.service() == before
    assert conditions(world, EAST) == {(False, False)}
    assert conditions(world, SOUTH) == {(True, True)}

    southern.export(but(OF_SOUTH, exported_at=times[SOUTH], session_affinity_s=60))
    world.settle()

    affinity = world.service().spec.session_affinity
    assert affinity == ("ClientIP" if oldest == SOUTH else "None")
    assert world.service().metadata.annotations == before.metadata.annotations


def test_a_refused_cluster_that_is_not_heard_is_silenced_too() -> None:
    """It was admitted before a restart, and is refused by what it declared before its exports."""
    world = World(east())
    world.settle()
    world.restart()
    world.picture.refused = frozenset({EAST})
    world.reconcile()

    assert conditions(world, EAST) == {(False, False)}
    assert world.service() is not None


def test_a_slice_that_somebody_wakes_is_silenced_again() -> None:
    """Drift of a refused cluster's slices is repaired as any other."""
    world = World(east())
    world.settle()
    (ready,) = slices(world, EAST)
    world.picture.refused = frozenset({EAST})
    world.settle()
    (silent,) = slices(world, EAST)
    world.server.put(ENDPOINT_SLICES, but(silent, endpoints=ready.endpoints))
    world.settle()

    assert conditions(world, EAST) == {(False, False)}
