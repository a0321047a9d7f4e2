from __future__ import annotations

from collections.abc import Callable

import pytest

from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES, KubeObject
from services.reflector.outlook import foresee
from services.reflector.render import bare
from tests.support.exporter import ExporterModel
from tests.support.mirrors import HEADLESS, IP6, KEY, PODS, WEB, but, endpoints, leftover, pods
from tests.support.model import ApiServerModel
from tests.support.world import World

Step = Callable[[ExporterModel, World], None]


def nothing(_: ExporterModel, __: World) -> None:
    """Leave all as it is."""


def other_port(exporter: ExporterModel, _: World) -> None:
    exporter.export(but(WEB, ports=(but(WEB.ports[0], port=81),)))


def headless(exporter: ExporterModel, _: World) -> None:
    exporter.export(HEADLESS)


def by_pods(exporter: ExporterModel, _: World) -> None:
    exporter.export(PODS)
    exporter.put_slice(pods("10.42.1.1"))


def both_families(exporter: ExporterModel, _: World) -> None:
    exporter.export(but(WEB, cluster_ips=(*WEB.cluster_ips, IP6), ip_families=("IPv4", "IPv6")))


def withdrawn(exporter: ExporterModel, _: World) -> None:
    exporter.withdraw(KEY)


def drifted(_: ExporterModel, world: World) -> None:
    if world.service():
        world.change_service(selector={"app": "else"})


STEPS = [nothing, other_port, headless, by_pods, both_families, withdrawn, drifted]


def shape(obj: KubeObject) -> object:
    """Return what we decide of an object."""
    if hasattr(obj, "spec"):
        return sorted(obj.metadata.labels), obj.spec.ip_families, tuple(map(bare, obj.spec.ports))
    return dict(obj.metadata.labels), obj.endpoints, obj.ports


def standing(world: World) -> dict[tuple[str, str], object]:
    """Return what stands in the importing cluster."""
    kinds = (SERVICES, ENDPOINT_SLICES)
    return {(k.kind, o.metadata.name): shape(o) for k in kinds for o in world.server.all(k)}


@pytest.mark.parametrize("change", STEPS)
@pytest.mark.parametrize("first", [False, True], ids=["standing", "new"])
def test_an_outlook_is_what_comes_about(change: Step, *, first: bool) -> None:
    """Played through on the picture, a plan leads to what it leads to on an API server."""
    exporter = ExporterModel()
    server = ApiServerModel(families=("IPv4", "IPv6"))
    world = World(exporter, server=server)
    exporter.export(WEB)
    if not first:
        world.settle()
    change(exporter, world)
    before = standing(world)
    world.restart()
    world.hear()

    outlook = foresee(world.picture, KEY)
    foreseen = dict(before)
    for fate in outlook.fates:
        found = fate.before or fate.after
        foreseen.pop((fate.kind, found.metadata.name), None)
        if fate.after is not None:
            foreseen[fate.kind, found.metadata.name] = shape(fate.after)
    assert not world.plan().operations
    world.restart()
    world.settle()

    assert standing(world) == foreseen


def test_a_mirror_of_another_kind_is_made_anew() -> None:
    """A cluster IP cannot be taken from a Service: the outlook says that it goes and comes."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = World(exporter)
    world.settle()
    exporter.export(HEADLESS)
    world.hear()

    (service, *_) = foresee(world.picture, KEY).fates

    assert (service.kind, service.recreated) == ("Service", True)


def test_what_others_left_on_a_mirror_goes() -> None:
    """Endpoints and slices that would go on feeding it are foreseen to be removed."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = World(exporter)
    world.settle()
    world.picture.own.endpoints.put(endpoints())
    world.picture.own.slices.put(leftover())

    fates = foresee(world.picture, KEY).fates

    assert [(f.kind, f.after) for f in fates] == [("Endpoints", None), ("EndpointSlice", None)]


def test_a_namespace_comes_before_what_is_in_it() -> None:
    """Where namespaces are created, the outlook goes on to the mirror."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = World(exporter, server=ApiServerModel("else"), create_namespaces=True)
    world.hear()

    outlook = foresee(world.picture, KEY)

    assert [f.kind for f in outlook.fates] == ["Namespace", "Service", "EndpointSlice"]
    assert outlook.refusals == ()
