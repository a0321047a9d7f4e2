from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.messages import ServiceExported
from heliograph.contract.names import is_dns_subdomain
from heliograph.kube.objects import EndpointConditions, Port
from services.reflector.backends import slice_name
from services.reflector.desired import desire_mirror
from services.reflector.mirror import DesiredMirror, MirrorSpec
from services.reflector.table import Export, ServiceKey
from tests.support.mirrors import (
    CLUSTER,
    DNS,
    EAST,
    GRPC,
    HEADLESS,
    HERE,
    HTTP,
    IP,
    IP6,
    KEY,
    NEW,
    NEWEST,
    OLD,
    PODS,
    SOUTH,
    WEB,
    WEST,
    backend,
    but,
    export,
    importing,
    pods,
)

READY = EndpointConditions(ready=True, serving=True, terminating=False)
DUAL = but(WEB, cluster_ips=(IP, IP6), ip_families=("IPv4", "IPv6"))


def desire(*exports: Export, frozen: MirrorSpec | None = None, **here: Any) -> DesiredMirror:  # noqa: ANN401
    families = here.pop("families", ("IPv4",))
    return desire_mirror(KEY, exports, importing(*families, **here), frozen)


def addresses(desired: DesiredMirror) -> list[str]:
    """Return all addresses of a mirror, in the order of its slices' names."""
    slices = [item for _, item in sorted(desired.slices.items())]
    return [address for item in slices for e in item.endpoints for address in e.addresses]


def reasons(desired: DesiredMirror) -> list[tuple[str, str]]:
    return [(refusal.exporting, refusal.reason) for refusal in desired.refusals]


def test_a_mirror_points_at_the_cluster_ip() -> None:
    """By default a mirror has one backend: the Service in the exporting cluster, by its ports."""
    desired = desire(export(service=but(WEB, ports=(HTTP, GRPC, DNS))))

    assert desired.spec is not None
    assert desired.spec.ports == (
        Port(name="http", port=80),
        Port(name="grpc", port=90, app_protocol="kubernetes.io/h2c"),
        Port(name="dns", protocol="UDP", port=53),
    )
    (item,) = desired.slices.values()
    assert item.ports == desired.spec.ports
    assert (item.exporting, item.address_type) == (EAST, "IPv4")
    assert [(e.addresses, e.conditions) for e in item.endpoints] == [((IP,), READY)]
    assert (desired.exporting, desired.refusals) == ((EAST,), ())


def test_a_service_without_backends_is_mirrored_not_ready() -> None:
    """Callers get a quick refusal instead of a name that is not there."""
    desired = desire(export(service=but(WEB, ready=False)))

    (item,) = desired.slices.values()
    assert item.endpoints[0].conditions == but(READY, ready=False, serving=False)


def test_a_mirror_points_at_the_pods() -> None:
    """In mode "pods" every backend of every slice is there, with its state and target port."""
    leaving = backend("10.42.0.2", ready=False, terminating=True)
    slices = {"cart-1": pods("10.42.0.1", leaving), "cart-2": pods("10.42.0.3")}

    desired = desire(export(service=PODS, slices=slices))

    assert sorted(addresses(desired)) == ["10.42.0.1", "10.42.0.2", "10.42.0.3"]
    states = {e.addresses[0]: e.conditions for i in desired.slices.values() for e in i.endpoints}
    assert states["10.42.0.2"] == EndpointConditions(ready=False, serving=True, terminating=True)
    assert {item.ports for item in desired.slices.values()} == {(Port(name="http", port=8080),)}


def test_a_headless_mirror_keeps_hostnames() -> None:
    """Names of single pods work in the importing cluster as they do in the exporting one."""
    slices = {"cart-1": pods(backend("10.42.0.1", hostname="cart-0"))}

    desired = desire(export(service=but(HEADLESS, session_affinity_s=60), slices=slices))

    assert desired.spec is not None
    assert (desired.spec.headless, desired.spec.affinity_s) == (True, None)
    (item,) = desired.slices.values()
    assert [e.hostname for e in item.endpoints] == ["cart-0"]


FAMILIES = {
    # case                           exported                 importing          mirrored
    "one, the same":                (("IPv4",),               ("IPv4",),         ("IPv4",)),
    "both, here one":               (("IPv4", "IPv6"),        ("IPv4",),         ("IPv4",)),
    "both, here the other":         (("IPv4", "IPv6"),        ("IPv6",),         ("IPv6",)),
    "both, here both":              (("IPv6", "IPv4"),        ("IPv4", "IPv6"),  ("IPv6", "IPv4")),
    "none in common":               (("IPv6",),               ("IPv4",),         None),
    "none exported":                ((),                      ("IPv4",),         None),
}  # fmt: skip
IP_OF = {"IPv4": IP, "IPv6": IP6}


@pytest.mark.parametrize(("exported", "here", "mirrored"), FAMILIES.values(), ids=FAMILIES)
def test_families_are_those_that_both_clusters_have(
    exported: tuple[str, ...], here: tuple[str, ...], mirrored: tuple[str, ...] | None
) -> None:
    """One slice for each common family; none in common is a refusal that people see."""
    service = but(WEB, ip_families=exported, cluster_ips=tuple(IP_OF[f] for f in exported))

    desired = desire(export(service=service), families=here)

    if mirrored is None:
        assert (desired.spec, reasons(desired)) == (None, [(EAST, "NoCommonFamily")])
        return
    assert desired.spec is not None
    assert desired.spec.families == mirrored
    assert {i.address_type: i.endpoints[0].addresses[0] for i in desired.slices.values()} == {
        family: IP_OF[family] for family in mirrored
    }


def test_a_cluster_that_does_not_tell_its_families_takes_any() -> None:
    """Clusters before Kubernetes 1.33 have no ServiceCIDR; their server judges then."""
    here = but(importing(), families=frozenset())

    desired = desire_mirror(KEY, [export(service=DUAL)], here, None)

    assert desired.spec is not None
    assert desired.spec.families == ("IPv4", "IPv6")
    refused = desire_mirror(KEY, [export(service=but(WEB, ip_families=()))], here, None)
    assert reasons(refused) == [(EAST, "NoCommonFamily")]


def test_pods_of_a_family_that_is_not_mirrored_are_left_out() -> None:
    """A dual-stack exporter has slices of both families; a mirror takes those it can use."""
    slices = {"four": pods("10.42.0.1"), "six": pods("fd00:42::1")}
    service = but(PODS, ip_families=("IPv4", "IPv6"), cluster_ips=(IP, IP6))

    assert addresses(desire(export(service=service, slices=slices))) == ["10.42.0.1"]
    both = desire(export(service=service, slices=slices), families=("IPv4", "IPv6"))
    assert sorted(addresses(both)) == ["10.42.0.1", "fd00:42::1"]


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, [0]), (100, [100]), (101, [1, 100]), (250, [50, 100, 100])]
)
def test_more_than_100_addresses_make_several_slices(count: int, sizes: list[int]) -> None:
    """Kubernetes' own controller keeps slices at 100 addresses; so do mirrors."""
    network = ipaddress.ip_network("10.42.0.0/16")
    desired = desire(
        export(service=PODS, slices={"cart-1": pods(*(str(network[n]) for n in range(count)))})
    )

    assert sorted(len(item.endpoints) for item in desired.slices.values()) == sizes
    assert len(addresses(desired)) == count


OLDEST = {
    # case                        east      south    order
    "east is older":             (OLD,      NEW,     (EAST, SOUTH)),
    "south is older":            (NEW,      OLD,     (SOUTH, EAST)),
    "equally old: by cluster":   (OLD,      OLD,     (EAST, SOUTH)),
}  # fmt: skip


@pytest.mark.parametrize(("east", "south", "order"), OLDEST.values(), ids=OLDEST)
def test_the_oldest_export_decides(east: str, south: str, order: tuple[str, ...]) -> None:
    """Every importing cluster comes to the same result, in whatever order it hears of exports."""
    first = export(EAST, but(WEB, exported_at=east, session_affinity_s=1))
    second = export(SOUTH, but(WEB, exported_at=south, session_affinity_s=2))

    desired = desire(first, second)

    assert desired == desire(second, first)
    assert desired.exporting == order
    assert desired.spec is not None
    assert desired.spec.affinity_s == {EAST: 1, SOUTH: 2}[order[0]]  # type: ignore[index]
    assert {item.exporting for item in desired.slices.values()} == {EAST, SOUTH}


CONFLICTS = {
    # case                            the younger export                       reason
    "headless beside ClusterIP":     (HEADLESS,                                "TypeConflict"),
    "no family of the older one":    (but(WEB, ip_families=("IPv6",), cluster_ips=(IP6,)),
                                                                               "FamilyConflict"),
}  # fmt: skip


@pytest.mark.parametrize(("younger", "reason"), CONFLICTS.values(), ids=CONFLICTS)
def test_who_disagrees_with_the_oldest_is_left_out(younger: ServiceExported, reason: str) -> None:
    """One cluster's mistake is refused and said, and the older mirror is as it would be alone."""
    alone = export(EAST)

    desired = desire(alone, export(SOUTH, but(younger, exported_at=NEW)), families=("IPv4", "IPv6"))

    assert reasons(desired) == [(SOUTH, reason)]
    assert but(desired, refusals=()) == desire(alone, families=("IPv4", "IPv6"))


def test_the_younger_of_two_types_is_the_one_refused() -> None:
    """The words name both types the right way round."""
    desired = desire(export(EAST, HEADLESS), export(SOUTH, but(WEB, exported_at=NEW)))

    (refusal,) = desired.refusals
    assert "of cluster south is of type ClusterIP, but the older export" in refusal.message
    assert "is headless" in refusal.message


PORTS = {
    # case                                     slice's own ports of its Service   shared
    "all equal":                              ((HTTP, GRPC),                      ["http", "grpc"]),
    "one of them":                            ((HTTP, DNS),                       ["http"]),
    "one name, another number":               ((but(HTTP, port=81), GRPC),        ["grpc"]),
    "one name, another protocol":             ((but(HTTP, protocol="UDP"),),      []),
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "shared"), PORTS.values(), ids=PORTS)
def test_ports_are_matched_by_name_protocol_and_number(
    theirs: tuple[Any, ...], shared: list[str]
) -> None:
    """A younger export answers only on ports that mean the same as the mirror's."""
    oldest = export(EAST, but(WEB, ports=(HTTP, GRPC)))
    by_ip = desire(oldest, export(SOUTH, but(WEB, ports=theirs, exported_at=NEW)))
    item = pods("10.42.0.1", ports=[but(p, port=8000) for p in theirs], service_ports=theirs)
    by_pod = desire(oldest, export(SOUTH, but(PODS, exported_at=NEW), {"cart-1": item}))

    for desired in (by_ip, by_pod):
        (found,) = (i for i in desired.slices.values() if i.exporting == SOUTH)
        assert [port.name for port in found.ports] == shared


@pytest.mark.parametrize("importers", [(), ("west",)])
def test_a_service_not_meant_for_this_cluster_is_nothing(importers: tuple[str, ...]) -> None:
    """Who is not on the list of importers mirrors nothing, and complains of nothing."""
    assert desire(export(service=but(WEB, importers=importers))) == DesiredMirror()


def test_a_service_meant_for_this_cluster_is_mirrored() -> None:
    """A list of importers that names this cluster is as good as none."""
    meant = but(WEB, importers=(str(HERE), "west"))

    assert desire(export(service=meant)) == desire(export())


def test_a_denied_namespace_is_refused() -> None:
    """Every exporting cluster is told that its Service is not taken."""
    desired = desire(export(EAST), export(SOUTH), denied_namespaces=("shop",))

    assert desired.spec is None
    assert reasons(desired) == [(EAST, "NamespaceDenied"), (SOUTH, "NamespaceDenied")]


def test_addresses_outside_of_the_declared_ranges_are_left_out() -> None:
    """The others of the same cluster are taken all the same; people see three examples."""
    strangers = [f"10.99.0.{n}" for n in range(1, 5)]
    slices = {"cart-1": pods("10.42.0.1", *strangers)}

    desired = desire(export(service=PODS, slices=slices))

    assert addresses(desired) == ["10.42.0.1"]
    assert reasons(desired) == [(EAST, "AddressOutsideRanges")]
    assert "(10.99.0.1, 10.99.0.2, 10.99.0.3, …)" in desired.refusals[0].message
    assert "pod_cidrs" in desired.refusals[0].message


def test_a_cluster_ip_outside_of_the_declared_ranges_leaves_an_empty_slice() -> None:
    """A cluster that declares no range gets no address in; the message says which setting."""
    desired = desire(export(announced=but(CLUSTER, service_cidrs=())))

    assert addresses(desired) == []
    assert desired.spec is not None
    assert "declares (none)" in desired.refusals[0].message
    assert "service_cidrs" in desired.refusals[0].message


def test_nobody_exports() -> None:
    """Without exports nothing should be."""
    assert desire() == DesiredMirror()


def test_a_mirror_stays_as_it_is_while_an_exporter_is_unheard() -> None:
    """The cluster that is not heard may have the oldest export: only it may change the Service."""
    frozen = MirrorSpec(headless=False, families=("IPv4",), ports=(Port(name="old", port=1),))

    desired = desire(export(SOUTH), frozen=frozen)
    headless = desire(export(SOUTH, HEADLESS), frozen=frozen)

    assert (desired.spec, desired.exporting) == (frozen, (SOUTH,))
    assert [item.ports for item in desired.slices.values()] == [()]
    assert (headless.spec, reasons(headless)) == (None, [(SOUTH, "TypeConflict")])


SERVICES = st.builds(
    lambda at, six, headless, ready: but(
        HEADLESS if headless else WEB,
        exported_at=at,
        ip_families=("IPv4", "IPv6") if six else ("IPv4",),
        cluster_ips=() if headless else (IP, IP6) if six else (IP,),
        ready=ready,
    ),
    st.sampled_from([OLD, NEW, NEWEST]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(services=st.lists(SERVICES, min_size=3, max_size=3), order=st.permutations([0, 1, 2]))
def test_the_order_of_hearing_never_matters(
    services: list[ServiceExported], order: list[int]
) -> None:
    """Equal exports give equal mirrors, whatever came first."""
    clusters = (EAST, SOUTH, WEST)
    exports = [
        export(c, s, {"cart-1": pods("10.42.0.1")}) for c, s in zip(clusters, services, strict=True)
    ]

    desired = desire(*exports)

    assert desired == desire(*(exports[n] for n in order))
    told = [*desired.exporting, *(cluster for cluster, _ in reasons(desired))]
    assert sorted(set(told)) == sorted(clusters)


LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(st.lists(st.tuples(LABELS, LABELS, LABELS), min_size=2, max_size=2, unique=True))
def test_slice_names_are_valid_and_unique(cases: list[tuple[str, str, str]]) -> None:
    """However long and alike the names are that a slice's name is made of."""
    names = [slice_name(ServiceKey("shop", n), c, w) for n, c, w in cases]  # type: ignore[arg-type]

    assert all(is_dns_subdomain(name) for name in names)
    assert len(set(names)) == len(names)


def test_slice_names_tell_apart_what_reads_the_same() -> None:
    """Hyphens of Service and cluster names must not run into one another."""
    first = slice_name(ServiceKey("shop", "a-b"), "c", "IPv4")  # type: ignore[arg-type]
    second = slice_name(ServiceKey("shop", "a"), "b-c", "IPv4")  # type: ignore[arg-type]

    assert first.startswith("a-b-c-")
    assert second.startswith("a-b-c-")
    assert first != second
