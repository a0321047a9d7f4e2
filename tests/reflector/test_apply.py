from __future__ import annotations

import asyncio
from typing import cast

import pytest

from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import ApiUnreachable, Status, api_error
from heliograph.kube.objects import ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, SERVICES
from heliograph.metrics import Metrics
from services.reflector.apply import Applier, first_to_act_upon
from services.reflector.operations import (
    CreateNamespace,
    CreateService,
    CreateSlice,
    DeleteEndpoints,
    DeleteService,
    DeleteSlice,
    Operation,
)
from services.reflector.own import OwnCluster
from tests.support.exporter import ExporterModel
from tests.support.mirrors import KEY, WEB, but, endpoints, foreign, namespace
from tests.support.model import ApiServerModel, ModelClient
from tests.support.world import World


def api(code: int, reason: str = "") -> HeliographError:
    """Return the error that stands for an answer."""
    return api_error("request", Status(code=code, reason=reason))


AWAY, BUSY = ApiUnreachable("here", "http://127.0.0.1", "refused"), api(503)
EXISTS, CONFLICT, MISSING = api(409, "AlreadyExists"), api(409), api(404)
INVALID, FORBIDDEN, FAULT = api(422), api(403), RuntimeError("a fault of ours")

FAILURES: dict[str, tuple[list[BaseException], BaseException | None]] = {
    # case                                             failures                    acted upon
    "one alone":                                      ([INVALID],                  INVALID),
    "waiting goes before planning anew":              ([CONFLICT, BUSY],           BUSY),
    "planning anew goes before giving up":            ([INVALID, CONFLICT],        CONFLICT),
    "not found is planned anew":                      ([FORBIDDEN, MISSING],       MISSING),
    "taken is planned anew":                          ([INVALID, EXISTS],          EXISTS),
    "the first among equals":                         ([BUSY, AWAY],               BUSY),
    "a fault of ours is never hidden":                ([BUSY, INVALID, FAULT],     FAULT),
    "nor is a cancellation":                          ([BUSY, asyncio.CancelledError()], None),
}  # fmt: skip


@pytest.mark.parametrize(("failures", "first"), FAILURES.values(), ids=FAILURES)
def test_the_failure_that_decides(
    failures: list[BaseException], first: BaseException | None
) -> None:
    """What is final for one object must not hide that another one only needs another attempt."""
    assert first_to_act_upon(failures) is (first or failures[-1])


def applier(server: ApiServerModel) -> tuple[Applier, OwnCluster]:
    """Return what writes to a model, and the table that it keeps up to date."""
    own = OwnCluster()
    server.list_into(own)
    client = cast("KubeClient", ModelClient(server))
    return Applier(client, own, Metrics("reflector", "here")), own


def mirrored() -> World:
    """Return a world with one mirror."""
    exporter = ExporterModel()
    exporter.export(WEB)
    world = World(exporter)
    world.settle()
    return world


def test_no_slice_is_made_for_a_name_that_is_taken() -> None:
    """It would feed the foreign Service until the next plan."""
    world = mirrored()
    service, item = world.server.all(SERVICES)[0], world.server.all(ENDPOINT_SLICES)[0]
    server = ApiServerModel()
    server.put(SERVICES, foreign())
    writer, own = applier(server)
    operations: tuple[Operation, ...] = (CreateSlice(slice=item), CreateService(service=service))

    with pytest.raises(type(EXISTS)):
        asyncio.run(writer.apply(operations))

    assert server.all(ENDPOINT_SLICES) == []
    assert own.mirror(KEY).foreign is not None


def test_one_failure_does_not_hold_up_the_others() -> None:
    """A slice is made although another one's name is taken."""
    item = mirrored().server.all(ENDPOINT_SLICES)[0]
    other = but(item, metadata=but(item.metadata, name="other"))
    server = ApiServerModel()
    server.put(ENDPOINT_SLICES, other)
    writer, own = applier(server)

    with pytest.raises(type(EXISTS)):
        asyncio.run(writer.apply((CreateSlice(slice=other), CreateSlice(slice=item))))

    assert len(server.all(ENDPOINT_SLICES)) == 2
    assert item.metadata.name in own.mirror(KEY).slices


def test_a_namespace_that_somebody_just_made_will_do() -> None:
    """Two mirrors need it at the same time, or a person was faster."""
    server = ApiServerModel()
    writer, own = applier(server)
    own.namespaces.list([])
    assert own.namespaces.state("shop") == "Missing"

    asyncio.run(writer.apply([CreateNamespace(namespace=namespace(ours=True))]))

    assert own.namespaces.state("shop") == "Active"
    assert own.namespaces.ours() == ()
    assert len(server.all(NAMESPACES)) == 1


def test_a_deletion_is_of_exactly_what_was_read() -> None:
    """Somebody has changed the mirror meanwhile: it is read, and judged anew."""
    world = mirrored()
    service, item = world.server.all(SERVICES)[0], world.server.all(ENDPOINT_SLICES)[0]
    world.change_service(type="NodePort")
    world.server.put(ENDPOINT_SLICES, but(item, ports=()))

    for operation in (
        DeleteService(metadata=service.metadata),
        DeleteSlice(metadata=item.metadata),
    ):
        with pytest.raises(type(CONFLICT)):
            world.apply(operation)

    known = world.picture.own.mirror(KEY)
    assert known.service == world.service()
    assert list(known.slices.values()) == world.server.all(ENDPOINT_SLICES)


def test_what_is_gone_already_is_forgotten() -> None:
    """Somebody else has deleted the mirror, and its Endpoints went along."""
    world = mirrored()
    world.server.put(ENDPOINTS, endpoints())
    world.watch()
    known = world.picture.own.mirror(KEY)
    assert known.service is not None
    assert known.endpoints is not None
    world.server.remove(SERVICES, KEY.namespace, KEY.name)

    with pytest.raises(type(MISSING)):
        world.apply(DeleteService(metadata=known.service.metadata))
    world.apply(DeleteEndpoints(metadata=known.endpoints))

    assert world.picture.own.mirror(KEY).service is None
    assert world.picture.own.mirror(KEY).endpoints is None
