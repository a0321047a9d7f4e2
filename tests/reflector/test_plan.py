from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heliograph.contract.messages import ServiceExported
from heliograph.contract.names import ClusterId
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    SERVICES,
    ClientIPConfig,
    Endpoint,
    ObjectMeta,
    Port,
    SessionAffinityConfig,
)
from heliograph.marks import EXPORTING_ANNOTATION, MANAGED_BY_LABEL, MANAGER
from services.reflector.operations import CreateNamespace
from services.reflector.plan import present_spec
from tests.support.exporter import ExporterModel
from tests.support.mirrors import (
    EAST,
    GRPC,
    HEADLESS,
    HTTP,
    IP,
    IP6,
    KEY,
    NEW,
    OLD,
    PODS,
    SOUTH,
    WEB,
    WEST,
    but,
    endpoints,
    foreign,
    leftover,
    namespace,
    pods,
    stored,
    with_labels,
)
from tests.support.model import ApiServerModel, shape_of
from tests.support.world import World, by_hand, words

DUAL = but(WEB, ip_families=("IPv4", "IPv6"), cluster_ips=(IP, IP6))
SIX = but(WEB, ip_families=("IPv6",), cluster_ips=(IP6,))


def exporting(
    service: ServiceExported = WEB, *, cluster: ClusterId = EAST, at: str = OLD
) -> ExporterModel:
    """Return a cluster that exports one Service, with a slice of it."""
    exporter = ExporterModel(cluster)
    exporter.export(but(service, exported_at=at))
    if service.endpoints == "pods":
        exporter.put_slice(pods("10.42.0.1"))
    return exporter


def mirrored(*exporters: ExporterModel, **settings: Any) -> World:  # noqa: ANN401
    """Return a world in which all mirrors stand."""
    families = settings.pop("families", ("IPv4",))
    world = World(
        *(exporters or (exporting(),)), server=ApiServerModel(families=families), **settings
    )
    world.settle()
    return world


def test_a_new_export_gets_service_and_slices() -> None:
    """Both in one pass, and then nothing is left to do."""
    world = World(exporting())
    world.hear()

    assert world.reconcile() == ["CreateService", "CreateSlice east"]

    service = world.service()
    assert service is not None
    assert service.metadata.annotations == {EXPORTING_ANNOTATION: "east"}
    assert service.spec.ports == (Port(name="http", port=80),)
    assert world.reconcile() == []


SERVICE, ADDED = "ReplaceService", "CreateSlice east"
SLICE, DROPPED = "ReplaceSlice east", "DeleteSlice east"
SWAPPED = but(DUAL, ip_families=("IPv6", "IPv4"), cluster_ips=(IP6, IP))
CHANGES = {
    # case                          from  to                                      operations
    "a port":                       (WEB, but(WEB, ports=(HTTP, GRPC)),           [SERVICE, SLICE]),
    "its cluster IP":               (WEB, but(WEB, cluster_ips=("10.110.9.9",)),  [SLICE]),
    "readiness":                    (WEB, but(WEB, ready=False),                  [SLICE]),
    "affinity":                     (WEB, but(WEB, session_affinity_s=60),        [SERVICE]),
    "from cluster IP to pods":      (WEB, PODS,                                   [ADDED, DROPPED]),
    "one family more":              (WEB, DUAL,                                   [SERVICE, ADDED]),
    "one family less":              (DUAL, WEB,                                [SERVICE, DROPPED]),
    "families the other way round": (DUAL, SWAPPED,                               []),
    "its age":                      (WEB, but(WEB, exported_at=NEW),              []),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "operations"), CHANGES.values(), ids=CHANGES)
def test_changes_are_made_in_place(
    before: ServiceExported, after: ServiceExported, operations: list[str]
) -> None:
    """Only what differs is written, and the cluster IP stays through all of it."""
    exporter = exporting(before)
    world = mirrored(exporter, families=("IPv4", "IPv6"))
    address = world.service().spec.cluster_ip  # type: ignore[union-attr]
    if after.endpoints == "pods":
        exporter.put_slice(pods("10.42.0.1"))

    exporter.export(after)
    world.hear()

    assert world.reconcile() == operations
    assert world.service().spec.cluster_ip == address  # type: ignore[union-attr]
    assert world.reconcile() == []


RECREATIONS = {
    "from ClusterIP to headless": (WEB, HEADLESS),
    "from headless to ClusterIP": (HEADLESS, WEB),
    "from one primary family to the other": (WEB, SIX),
}


@pytest.mark.parametrize(("before", "after"), RECREATIONS.values(), ids=RECREATIONS)
def test_what_cannot_be_changed_is_made_anew(
    before: ServiceExported, after: ServiceExported
) -> None:
    """The API server lets nobody change a Service's kind of address, or its primary family."""
    exporter = exporting(before)
    world = mirrored(exporter, families=("IPv4", "IPv6"))
    if after.endpoints == "pods":
        exporter.put_slice(pods("10.42.0.1"))

    exporter.export(after)
    world.hear()
    done = world.reconcile()

    assert [word for word in done if word.endswith("Service")] == ["DeleteService", "CreateService"]
    assert world.reconcile() == []
    fresh = World(exporter, server=ApiServerModel(families=("IPv4", "IPv6")))
    fresh.settle()
    assert shape_of(world.server) == shape_of(fresh.server)


def test_a_withdrawn_export_takes_its_mirror_along() -> None:
    """Nothing of ours stays behind."""
    exporter = exporting()
    world = mirrored(exporter)

    exporter.withdraw()
    world.hear()

    assert world.reconcile() == ["DeleteService", "DeleteSlice east"]
    assert shape_of(world.server) == {"services": {}, "slices": {}}


def test_a_foreign_service_is_never_touched() -> None:
    """It is reported for every cluster concerned, and no slice of ours may bear its name."""
    world = mirrored(exporting(), exporting(cluster=SOUTH, at=NEW))
    world.server.remove(SERVICES, KEY.namespace, KEY.name)
    world.server.put(SERVICES, foreign())
    world.watch()

    assert world.reconcile() == ["DeleteSlice east", "DeleteSlice south"]

    plan = world.plan()
    assert plan.operations == ()
    assert [(r.exporting, r.reason) for r in plan.refusals] == [
        (EAST, "ForeignObject"),
        (SOUTH, "ForeignObject"),
    ]
    assert "managed by 'helm', not by us" in plan.refusals[0].message


def test_a_mirror_stands_up_once_the_foreign_service_is_gone() -> None:
    """The name is free, so the mirror is there at once."""
    world = World(exporting())
    world.server.put(SERVICES, foreign())
    world.settle()

    world.server.remove(SERVICES, KEY.namespace, KEY.name)
    world.watch()

    assert world.reconcile() == ["CreateService", "CreateSlice east"]


def test_copied_labels_make_nothing_ours() -> None:
    """Who copies a mirror with all its labels owns the copy: authorship is not copied."""
    world = World(exporting())
    labels = {MANAGED_BY_LABEL: MANAGER}
    world.server.put(SERVICES, with_labels(foreign(by="kubectl-create"), labels))
    world.settle()

    assert [r.reason for r in world.plan().refusals] == ["ForeignObject"]
    assert world.pointing_at() == []


GONE, LEAVING = "NamespaceMissing", "NamespaceTerminating"
NO_NAMESPACE = {
    # case                                  terminating  create   operations             reason
    "missing":                             (None,        False,   [],                    GONE),
    "missing, and we may create it":       (None,        True,    ["CreateNamespace"],   None),
    "terminating":                         (True,        False,   [],                    LEAVING),
    "terminating, and we may create it":   (True,        True,    [],                    LEAVING),
}  # fmt: skip


@pytest.mark.parametrize(
    ("terminating", "create", "operations", "reason"), NO_NAMESPACE.values(), ids=NO_NAMESPACE
)
def test_a_mirror_needs_its_namespace(
    *, terminating: bool | None, create: bool, operations: list[str], reason: str | None
) -> None:
    """Namespaces are created only if allowed; otherwise the mirror waits, and says so."""
    server = ApiServerModel("elsewhere")
    if terminating is not None:
        server.put(NAMESPACES, namespace(terminating=terminating))
    world = World(exporting(), server=server, create_namespaces=create)
    world.hear()

    plan = world.plan()

    assert words(plan) == operations
    assert [r.reason for r in plan.refusals] == ([reason] if reason else [])


def test_a_namespace_of_ours_is_marked() -> None:
    """Only so can it be told apart later, and removed again."""
    server = ApiServerModel("elsewhere")
    world = World(exporting(), server=server, create_namespaces=True)
    world.hear()

    (operation,) = world.plan().operations

    assert isinstance(operation, CreateNamespace)
    assert operation.namespace.metadata == ObjectMeta(
        name="shop", labels={MANAGED_BY_LABEL: MANAGER}
    )
    assert world.reconcile() == ["CreateNamespace", "CreateService", "CreateSlice east"]
    assert [n.metadata.name for n in world.picture.own.namespaces.ours()] == ["shop"]


def test_nothing_is_wanted_of_a_namespace_that_is_gone() -> None:
    """A mirror that nobody exports any more needs no namespace."""
    exporter = exporting()
    exporter.withdraw()
    world = World(exporter, server=ApiServerModel("elsewhere"), create_namespaces=True)
    world.hear()

    assert (world.plan().operations, world.plan().refusals) == ((), ())


def test_what_an_unheard_exporter_has_stays() -> None:
    """After a restart with one bus away: its slices stay, and so does the Service's form."""
    world = mirrored(exporting(), exporting(cluster=SOUTH, at=NEW))
    before = shape_of(world.server)
    world.restart()

    assert world.reconcile() == []
    world.hear(SOUTH)
    assert world.reconcile() == []
    world.exporters[SOUTH].export(but(WEB, ports=(HTTP, GRPC), exported_at=NEW))
    world.hear(SOUTH)
    assert world.reconcile() == []

    assert shape_of(world.server) == before
    world.hear()
    assert world.reconcile() == []


def test_a_younger_exporter_goes_while_the_oldest_is_unheard() -> None:
    """A withdrawal is evidence about its own cluster, and about no other."""
    world = mirrored(exporting(), exporting(cluster=SOUTH, at=NEW))
    world.restart()
    world.exporters[SOUTH].withdraw()
    world.hear(SOUTH)

    assert world.reconcile() == ["DeleteSlice south"]

    world.hear()
    assert world.reconcile() == ["ReplaceService"]
    assert world.service().metadata.annotations[EXPORTING_ANNOTATION] == "east"  # type: ignore[union-attr]


def test_a_new_exporter_joins_behind_those_that_are_unheard() -> None:
    """Whoever is marked keeps its place in the mark until its age is known again."""
    world = mirrored(exporting())
    world.exporters[SOUTH] = exporting(cluster=SOUTH, at="2025-01-01T00:00:00Z")
    world.restart()
    world.hear(SOUTH)

    assert world.reconcile() == ["ReplaceService", "CreateSlice south"]
    assert world.service().metadata.annotations[EXPORTING_ANNOTATION] == "east,south"  # type: ignore[union-attr]

    world.hear()
    assert world.reconcile() == ["ReplaceService"]
    assert world.service().metadata.annotations[EXPORTING_ANNOTATION] == "south,east"  # type: ignore[union-attr]


def test_a_mirror_whose_service_was_deleted_comes_back_for_those_who_are_heard() -> None:
    """The unheard cluster's slices stay where they are, behind the new Service."""
    world = mirrored(exporting(), exporting(cluster=SOUTH, at=NEW))
    world.server.remove(SERVICES, KEY.namespace, KEY.name)
    world.restart()
    world.hear(SOUTH)

    assert world.reconcile() == ["CreateService"]
    assert world.pointing_at() == ["east", "south"]


def test_one_of_two_exporters_withdraws() -> None:
    """The other's slices and the cluster IP stay: the mirror is neither removed nor recreated."""
    east = exporting()
    world = mirrored(east, exporting(cluster=SOUTH, at=NEW))
    before = world.service()

    east.withdraw()
    world.hear()

    assert world.reconcile() == ["ReplaceService", "DeleteSlice east"]
    after = world.service()
    assert before is not None
    assert after is not None
    assert after.metadata.uid == before.metadata.uid
    assert after.spec.cluster_ips == before.spec.cluster_ips
    assert world.pointing_at() == ["south"]


def test_a_cluster_taken_off_the_list_loses_its_mirrors() -> None:
    """Failure 5 of the older reflector: a source removed from the flags left its mirrors."""
    world = mirrored(exporting(), exporting(cluster=SOUTH, at=NEW))
    del world.exporters[EAST]
    world.restart(import_from=("south=nats://south.example",))

    assert world.reconcile() == ["DeleteSlice east"]
    world.hear()
    assert world.reconcile() == ["ReplaceService"]
    assert world.pointing_at() == ["south"]


def test_a_cluster_that_vanished_without_a_word_keeps_its_mirrors() -> None:
    """No stream, no list: absence is no evidence."""
    world = mirrored(exporting())
    world.exporters.clear()
    world.restart()

    assert world.reconcile() == []


def adopted() -> World:
    """Return a world with a mirror made by hand, just adopted: marked, with its backends."""
    world = World(exporting())
    labels = {MANAGED_BY_LABEL: MANAGER}
    where = ObjectMeta(name=KEY.name, namespace=KEY.namespace, labels=labels)
    hand = but(by_hand(ports=(Port(name="http", port=80),)), metadata=where)
    world.server.put(SERVICES, stored(hand))
    world.server.put(ENDPOINTS, stored(endpoints()))
    unmanaged = with_labels(
        leftover("cart-byhand"), {"endpointslice.kubernetes.io/managed-by": None}
    )
    world.server.put(ENDPOINT_SLICES, stored(unmanaged))
    world.watch()
    return world


def test_adopted_backends_go_only_after_ours_are_there() -> None:
    """At no moment is the mirror without backends, and its cluster IP stays."""
    world = adopted()
    world.hear()

    assert words(world.plan()) == ["ReplaceService", "CreateSlice east"]
    assert world.reconcile() == [
        *("ReplaceService", "CreateSlice east"),
        *("DeleteEndpoints", "DeleteSlice cart-byhand"),
    ]
    assert world.service().spec.cluster_ip == "10.111.9.9"  # type: ignore[union-attr]
    assert world.pointing_at() == ["east"]


def test_an_adopted_mirror_that_nobody_exports_is_kept() -> None:
    """Adopted too early, or exported never: what somebody made by hand is not ours to delete."""
    world = adopted()
    world.exporters[EAST].withdraw()
    world.hear()

    assert world.reconcile() == []


def affinity(seconds: int) -> dict[str, object]:
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=seconds))
    return {"session_affinity": "ClientIP", "session_affinity_config": config}


DRIFT: dict[str, dict[str, Any]] = {
    "type": {"type": "NodePort"},
    "selector": {"selector": {"app": "cart"}},
    "ports": {"ports": (Port(name="http", port=81),)},
    "a port's protocol": {"ports": (Port(name="http", port=80, protocol="UDP"),)},
    "a port's application protocol": {"ports": (Port(name="http", port=80, app_protocol="http"),)},
    "a port more": {"ports": (Port(name="http", port=80), Port(name="x", port=1))},
    "affinity": affinity(60),
    "affinity without its time-out": {"session_affinity": "ClientIP"},
    "internal traffic policy": {"internal_traffic_policy": "Local"},
    "external IPs": {"external_ips": ("203.0.113.1",)},
    "external name": {"external_name": "example.org"},
    "publishing what is not ready": {"publish_not_ready_addresses": True},
    "traffic distribution": {"traffic_distribution": "PreferClose"},
    "a family more": {"ip_families": ("IPv4", "IPv6")},
}


@pytest.mark.parametrize("drift", DRIFT.values(), ids=DRIFT)
def test_drift_of_the_service_is_repaired(drift: dict[str, Any]) -> None:
    """Whatever somebody changes that we decide is put back, in place."""
    world = mirrored()
    before = shape_of(world.server)

    world.change_service(**drift)
    world.watch()

    assert world.reconcile() == ["ReplaceService"]
    assert shape_of(world.server) == before


def test_what_we_do_not_decide_is_left_alone() -> None:
    """Labels and annotations of others stay, and target ports, which mean nothing here."""
    world = mirrored()
    service = world.service()
    assert service is not None
    noted = but(service.metadata, annotations={**service.metadata.annotations, "team": "shop"})
    world.server.put(SERVICES, with_labels(but(service, metadata=noted), {"team": "shop"}))
    world.change_service(ports=(Port(name="http", port=80, target_port=8080, node_port=0),))
    world.watch()
    assert world.reconcile() == []

    world.exporters[EAST].export(but(WEB, session_affinity_s=60))
    world.hear()
    assert world.reconcile() == ["ReplaceService"]

    kept = world.service().metadata  # type: ignore[union-attr]
    assert (kept.labels["team"], kept.annotations["team"]) == ("shop", "shop")


def test_a_headless_mirror_keeps_its_own_internal_traffic_policy() -> None:
    """The policy has no meaning without a cluster IP, and the API server sets none."""
    world = mirrored(exporting(HEADLESS))

    world.change_service(internal_traffic_policy="Local")
    world.watch()

    assert world.reconcile() == []


def test_a_lost_mark_is_put_back() -> None:
    """Without the mark nobody knows, after a restart, whose mirror it is."""
    world = mirrored()
    service = world.service()
    assert service is not None
    world.server.put(SERVICES, but(service, metadata=but(service.metadata, annotations={})))
    world.watch()

    assert world.reconcile() == ["ReplaceService"]


def slice_but(change: Callable[[Any], Any]) -> Callable[[World], None]:
    """Return what changes the first slice of a world."""

    def change_slice(world: World) -> None:
        (item,) = world.server.all(ENDPOINT_SLICES)
        world.server.put(ENDPOINT_SLICES, change(item))

    return change_slice


SLICE_DRIFT: dict[str, Callable[[World], None]] = {
    "endpoints": slice_but(lambda s: but(s, endpoints=(Endpoint(addresses=("10.9.9.9",)),))),
    "no endpoints": slice_but(lambda s: but(s, endpoints=None)),
    "ports": slice_but(lambda s: but(s, ports=(Port(name="http", port=81),))),
    "no ports": slice_but(lambda s: but(s, ports=None)),
    "our label": slice_but(lambda s: with_labels(s, {MANAGED_BY_LABEL: None})),
    "the manager of slices": slice_but(
        lambda s: with_labels(s, {"endpointslice.kubernetes.io/managed-by": "somebody"})
    ),
    "the source cluster": slice_but(
        lambda s: with_labels(s, {"multicluster.kubernetes.io/source-cluster": None})
    ),
    "the Service's name": slice_but(
        lambda s: with_labels(s, {"kubernetes.io/service-name": "other"})
    ),
    "no Service's name": slice_but(lambda s: with_labels(s, {"kubernetes.io/service-name": None})),
    "all that marks it": slice_but(
        lambda s: with_labels(
            s,
            {
                MANAGED_BY_LABEL: None,
                "endpointslice.kubernetes.io/managed-by": None,
                "multicluster.kubernetes.io/source-cluster": None,
            },
        )
    ),
    "the whole slice": lambda world: world.server.remove(
        ENDPOINT_SLICES, KEY.namespace, world.server.all(ENDPOINT_SLICES)[0].metadata.name
    ),
}


@pytest.mark.parametrize("drift", SLICE_DRIFT.values(), ids=SLICE_DRIFT)
def test_drift_of_a_slice_is_repaired(drift: Callable[[World], None]) -> None:
    """Whatever becomes of a slice or of its labels, the mirror comes back to what it was."""
    world = mirrored()
    before = shape_of(world.server)

    drift(world)
    world.settle()

    assert shape_of(world.server) == before


def test_what_controllers_left_is_removed() -> None:
    """A selector put on the mirror and taken off: the controller's slices would feed it on."""
    world = mirrored()
    world.change_service(selector={"app": "cart"})
    world.server.put(ENDPOINT_SLICES, leftover())
    world.server.put(ENDPOINTS, endpoints())
    world.watch()

    assert world.reconcile() == [
        "ReplaceService",
        "DeleteEndpoints",
        f"DeleteSlice {leftover().metadata.name}",
    ]
    assert world.pointing_at() == ["east"]


def test_leftovers_stay_while_nothing_stands_in_their_place() -> None:
    """Without the Service there is nothing that they could feed wrongly."""
    world = mirrored()
    world.server.put(ENDPOINT_SLICES, leftover())
    world.server.remove(SERVICES, KEY.namespace, KEY.name)
    world.watch()

    assert words(world.plan()) == ["CreateService"]
    world.exporters[EAST].withdraw()
    world.hear()
    assert words(world.plan()) == ["DeleteSlice east"]


def test_the_form_of_a_mirror_is_read_back() -> None:
    """What stands is compared, and kept while an exporter is unheard, in the same terms."""
    world = mirrored(exporting(but(WEB, session_affinity_s=60)))
    mirror = world.picture.own.mirror(KEY)

    spec = present_spec(mirror)

    assert spec is not None
    assert (spec.headless, spec.affinity_s, spec.families) == (False, 60, ("IPv4",))
    assert spec.ports == (Port(name="http", port=80),)


def test_three_exporters_share_a_mirror() -> None:
    """One cluster per slice, all behind one Service."""
    world = mirrored(exporting(), exporting(cluster=SOUTH, at=NEW), exporting(cluster=WEST, at=NEW))

    assert world.pointing_at() == ["east", "south", "west"]
    assert world.service().metadata.annotations[EXPORTING_ANNOTATION] == "east,south,west"  # type: ignore[union-attr]
