from __future__ import annotations

from heliograph.kube.objects import NAMESPACES
from services.reflector.table import ServiceKey
from tests.support.exporter import ExporterModel
from tests.support.mirrors import EAST, KEY, SOUTH, WEB, but, endpoints, namespace
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
