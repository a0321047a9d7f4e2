from __future__ import annotations

import pytest

from heliograph.kube.objects import NAMESPACES
from services.reflector.table import ServiceKey
from tests.support.exporter import ExporterModel
from tests.support.mirrors import EAST, KEY, PODS, SOUTH, WEB, but, endpoints, namespace, pods
from tests.support.model import ApiServerModel
from tests.support.world import World

WEBSITE = ServiceKey("www", "site")


def test_what_concerns_mirrors_is_what_is_exported_or_ours() -> None:
    """Most Services of a cluster are nobody's business."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = World(exporter)
    picture = world.picture
    assert not picture.concerns(KEY)

    world.hear()
    assert picture.concerns(KEY)
    assert picture.exporting(KEY) == (EAST,)
    assert picture.exporting(WEBSITE) == ()
    picture.own.endpoints.put(endpoints(WEBSITE))
    assert picture.concerns(WEBSITE)
    assert picture.keys() == {KEY, WEBSITE}
    assert picture.keys_in({"www", "else"}) == {WEBSITE}


def test_the_mirrors_of_a_cluster_are_those_that_point_at_it() -> None:
    """They are looked at again when that cluster has been heard whole."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = World(exporter)
    world.settle()

    assert world.picture.keys_from(EAST) == {KEY}
    assert world.picture.keys_from(SOUTH) == set()


def mirrored_by_two_slices() -> tuple[ExporterModel, World]:
    """Return an exporter of pods, and the world in which its mirror stands."""
    exporter = ExporterModel()
    exporter.export(PODS)
    exporter.put_slice(pods("10.244.1.1"))
    exporter.put_slice(pods("10.244.1.2"), "cart-2")
    world = World(exporter)
    world.settle()
    return exporter, world


@pytest.mark.parametrize("heard", range(3))
def test_half_a_replay_removes_no_slice(heard: int) -> None:
    """After a restart a Service may be heard before its backends: they are unknown, not gone."""
    exporter, world = mirrored_by_two_slices()
    exporter.lease(digests=False)
    exporter.export(PODS)
    exporter.put_slice(pods("10.244.1.2"), "cart-2")
    exporter.put_slice(pods("10.244.1.1"))

    world.restart()
    exporter.replay_into(world.picture.exports[EAST], limit=1 + heard)

    assert world.reconcile() == []
    assert world.pointing_at() == [EAST, EAST]


def test_a_slice_that_a_whole_replay_lacks_is_removed() -> None:
    """Once a digest says that all was heard, what is absent is gone."""
    exporter, world = mirrored_by_two_slices()
    exporter.lose()
    exporter.export(PODS)
    exporter.put_slice(pods("10.244.1.1"))

    world.restart()
    world.hear()

    assert [word.partition(" ")[0] for word in world.reconcile()] == ["DeleteSlice"]
    assert world.pointing_at() == [EAST]


def unneeded(world: World) -> list[str]:
    return [n.metadata.name for n in world.picture.unneeded_namespaces()]


def with_our_namespace(*exporters: ExporterModel) -> World:
    """Return a world whose namespace `shop` was made by us; `www` was not."""
    server = ApiServerModel("www")
    server.put(NAMESPACES, namespace(ours=True))
    return World(*exporters, server=server, create_namespaces=True)


def test_a_namespace_is_unneeded_once_no_mirror_is_or_should_be_in_it() -> None:
    """While the mirror is wanted, and until it is gone, its namespace is needed."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = with_our_namespace(exporter)
    world.hear()
    assert unneeded(world) == []
    world.settle()
    exporter.withdraw()
    world.hear()
    assert unneeded(world) == []

    world.settle()

    assert unneeded(world) == ["shop"]


def test_an_export_that_is_not_meant_for_us_needs_no_namespace() -> None:
    """A list of importers without this cluster is as good as no export."""
    exporter = ExporterModel()
    exporter.export(but(WEB, importers=("west",)))
    world = with_our_namespace(exporter)
    world.hear()

    assert unneeded(world) == ["shop"]


def test_in_doubt_every_namespace_is_needed() -> None:
    """Nobody heard, or not all: who is silent may export into it."""
    assert unneeded(with_our_namespace()) == []
    world = with_our_namespace(ExporterModel(), ExporterModel(SOUTH))
    world.hear(EAST)

    assert unneeded(world) == []

    world.hear(SOUTH)
    assert unneeded(world) == ["shop"]
