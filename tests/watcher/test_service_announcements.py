"""What is published of a Service, for every form that a Service may have."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.messages import (
    BackendAddress,
    EndpointsExported,
    Message,
    ServiceExported,
    ServicePort,
)
from heliograph.contract.subjects import Kind
from heliograph.kube.objects import (
    ClientIPConfig,
    Endpoint,
    EndpointSlice,
    Port,
    Service,
    SessionAffinityConfig,
)
from heliograph.marks import SLICE_MANAGED_BY_LABEL, SLICE_MANAGER
from services.watcher.announce import Announcement, NotExported, announce_service
from tests.support.builders import (
    CREATED,
    EAST,
    annotated,
    backend,
    endpoint_slice,
    mirror,
    service,
    subject,
)

USUAL = ServiceExported(
    ports=(ServicePort(port=80),),
    cluster_ips=("10.96.0.7",),
    ip_families=("IPv4",),
    ready=False,
    exported_at=CREATED,
)
HEADLESS = {"cluster_ip": "None", "cluster_ips": ("None",)}
PODS = {"heliograph.io/endpoints": "pods"}
CART, SLICE = subject(Kind.SERVICE, "cart"), subject(Kind.ENDPOINTS, "cart-x1")
POD = backend("10.42.0.5", ready=True)


def changed(**fields: Any) -> ServiceExported:  # noqa: ANN401 - fields of ServiceExported
    return msgspec.structs.replace(USUAL, **fields)


def affinity(timeout_s: int | None) -> dict[str, Any]:
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=timeout_s))
    return {"session_affinity": "ClientIP", "session_affinity_config": config}


def announced(service: Service, *slices: EndpointSlice) -> Announcement:
    result = announce_service(EAST, service, slices)
    assert isinstance(result, Announcement)
    return result


MANY_PORTS = (
    Port(name="http", port=80, target_port="web", node_port=30080, app_protocol="http"),
    Port(name="dns", protocol="UDP", port=53),
    Port(name="sig", protocol="SCTP", port=5060),
)
EXPORTED: dict[str, tuple[Service, ServiceExported]] = {
    "ClusterIP": (service(), USUAL),
    "several ports and protocols": (
        service(ports=MANY_PORTS),
        changed(
            ports=(
                ServicePort(name="http", port=80, app_protocol="http"),
                ServicePort(name="dns", protocol="UDP", port=53),
                ServicePort(name="sig", protocol="SCTP", port=5060),
            )
        ),
    ),
    "a protocol to come": (service(ports=(Port(port=80), Port(protocol="QUIC", port=81))), USUAL),
    "LoadBalancer": (service(type="LoadBalancer"), USUAL),
    "NodePort": (service(type="NodePort", ports=(Port(port=80, node_port=30080),)), USUAL),
    "dual stack": (
        service(cluster_ips=("10.96.0.7", "fd00::7"), ip_families=("IPv4", "IPv6")),
        changed(cluster_ips=("10.96.0.7", "fd00::7"), ip_families=("IPv4", "IPv6")),
    ),
    "IPv6 first": (
        service(cluster_ips=("fd00::7", "10.96.0.7"), ip_families=("IPv6", "IPv4")),
        changed(cluster_ips=("fd00::7", "10.96.0.7"), ip_families=("IPv6", "IPv4")),
    ),
    "an API server before dual stack": (
        service(cluster_ips=(), ip_families=()),
        changed(ip_families=()),
    ),
    "no cluster IP yet": (service(cluster_ip="", cluster_ips=()), changed(cluster_ips=())),
    "affinity": (service(**affinity(60)), changed(session_affinity_s=60)),
    "affinity with the default": (service(**affinity(None)), changed(session_affinity_s=10800)),
    "affinity without configuration": (
        service(session_affinity="ClientIP"),
        changed(session_affinity_s=10800),
    ),
    "no affinity, though configured": (
        service(session_affinity_config=SessionAffinityConfig(client_ip=ClientIPConfig())),
        USUAL,
    ),
    "pods": (annotated(PODS), changed(endpoints="pods")),
    "cluster-ip": (annotated({"heliograph.io/endpoints": "cluster-ip"}), USUAL),
    "headless": (
        service(**HEADLESS),
        changed(headless=True, cluster_ips=(), endpoints="pods"),
    ),
    "headless needs no right annotation": (
        annotated({"heliograph.io/endpoints": "cluster-ip"}, **HEADLESS),
        changed(headless=True, cluster_ips=(), endpoints="pods"),
    ),
    "some importers": (
        annotated({"heliograph.io/importers": "west, north,,west"}),
        changed(importers=("north", "west")),
    ),
    "no importers": (annotated({"heliograph.io/importers": ""}), changed(importers=())),
    "our label without our hand": (mirror(manager="kubectl"), USUAL),
    "without time of creation": (
        service(meta={"creation_timestamp": None}),
        changed(exported_at="1970-01-01T00:00:00Z"),
    ),
}
NOT_EXPORTED = {
    "the API server's own": (
        service("kubernetes", "default"),
        "NotExportable",
        (
            "Service default/kubernetes is every cluster's own API server and is not exported; "
            "remove the label."
        ),
    ),
    "an alias": (
        service(type="ExternalName", external_name="example.com", cluster_ip="", cluster_ips=()),
        "InvalidServiceType",
        (
            "Service shop/cart is of type ExternalName, a DNS alias without addresses, and is not "
            "exported; create the same ExternalName in the other clusters, or remove the label."
        ),
    ),
}
SILENT = {
    "a mirror of ours": mirror(),
    "a mirror of ours in the API server's place": mirror("kubernetes", "default"),
    "on its way out": service(meta={"deletion_timestamp": CREATED}),
}
READY = {
    # case                    conditions                                            ready
    "all unknown":           ({},                                                  True),
    "ready":                 ({"ready": True},                                     True),
    "not ready":             ({"ready": False},                                    False),
    "draining":              ({"ready": False, "serving": True, "terminating": True}, True),
    "gone":                  ({"ready": False, "serving": False, "terminating": True}, False),
}  # fmt: skip
CONDITIONS = {
    # case                 said                                        ready, serving, terminating
    "all unknown":        ({},                                         (True, True, False)),
    "only ready":         ({"ready": True},                            (True, True, False)),
    "only not ready":     ({"ready": False},                           (False, False, False)),
    "draining":           ({"ready": False, "serving": True, "terminating": True},
                                                                       (False, True, True)),
    "serving unknown":    ({"ready": False, "terminating": True},      (False, False, True)),
    "serving denied":     ({"ready": True, "serving": False},          (True, False, False)),
}  # fmt: skip
BY_HAND = {"endpointslice.kubernetes.io/managed-by": "me"}
SLICES: dict[str, tuple[EndpointSlice, EndpointsExported | None]] = {
    "usual": (
        endpoint_slice(POD),
        EndpointsExported(
            service="cart",
            address_type="IPv4",
            addresses=(BackendAddress(addresses=("10.42.0.5",)),),
            ports=(ServicePort(port=8080),),
            service_ports=(ServicePort(port=80),),
        ),
    ),
    "made by hand, for a Service without selector": (
        endpoint_slice(backend("192.0.2.1"), labels=BY_HAND, ports=(Port(name="sql", port=5432),)),
        EndpointsExported(
            service="cart",
            address_type="IPv4",
            addresses=(BackendAddress(addresses=("192.0.2.1",)),),
            ports=(ServicePort(name="sql", port=5432),),
            service_ports=(ServicePort(port=80),),
        ),
    ),
    "ports without a number, or with one that is none": (
        endpoint_slice(ports=(Port(name="all"), Port(name="none", port=0), Port(port=65536))),
        EndpointsExported(
            service="cart", address_type="IPv4", service_ports=(ServicePort(port=80),)
        ),
    ),
    "no ports at all": (
        endpoint_slice(ports=None),
        EndpointsExported(
            service="cart", address_type="IPv4", service_ports=(ServicePort(port=80),)
        ),
    ),
    "IPv6, with a name": (
        endpoint_slice(backend("fd00::5", hostname="cart-0"), family="IPv6", ports=()),
        EndpointsExported(
            service="cart",
            address_type="IPv6",
            addresses=(BackendAddress(addresses=("fd00::5",), hostname="cart-0"),),
            service_ports=(ServicePort(port=80),),
        ),
    ),
    "without backends": (
        msgspec.structs.replace(endpoint_slice(ports=()), endpoints=None),
        EndpointsExported(
            service="cart", address_type="IPv4", service_ports=(ServicePort(port=80),)
        ),
    ),
    "names instead of addresses": (endpoint_slice(backend("a.example"), family="FQDN"), None),
    "of a mirror of ours": (
        endpoint_slice(POD, labels={SLICE_MANAGED_BY_LABEL: SLICE_MANAGER}),
        None,
    ),
}


@pytest.mark.parametrize(("given_service", "message"), EXPORTED.values(), ids=EXPORTED)
def test_exported_services(given_service: Service, message: ServiceExported) -> None:
    """A Service becomes one message with what a mirror needs, and no more."""
    assert announced(given_service) == Announcement(messages={CART: message})


@pytest.mark.parametrize(
    ("given_service", "reason", "message"), NOT_EXPORTED.values(), ids=NOT_EXPORTED
)
def test_services_that_cannot_be_exported(
    given_service: Service, reason: str, message: str
) -> None:
    """A label on what cannot be mirrored is answered with the reason and what to do."""
    refused = NotExported(reason=reason, message=message)
    assert announce_service(EAST, given_service, [endpoint_slice(POD)]) == refused


@pytest.mark.parametrize("given_service", SILENT.values(), ids=SILENT)
def test_services_that_are_passed_over(given_service: Service) -> None:
    """Mirrors are never exported again, and what is being deleted is withdrawn at once."""
    assert announce_service(EAST, given_service, [endpoint_slice(POD)]) is None


def test_an_annotation_that_is_misspelt() -> None:
    """The Service is exported as if it were not annotated, with a warning."""
    result = announced(annotated({"heliograph.io/endpoints": "pod"}))

    assert result.messages == {CART: USUAL}
    (warning,) = result.warnings
    assert warning.reason == "InvalidAnnotation"
    assert warning.message == (
        "annotation heliograph.io/endpoints: 'pod' is neither 'cluster-ip' nor 'pods'; mirrors "
        "use the cluster IP until it is mended."
    )


@pytest.mark.parametrize(("conditions", "ready"), READY.values(), ids=READY)
def test_a_service_is_ready_while_any_backend_answers(
    conditions: dict[str, bool],
    ready: bool,  # noqa: FBT001 - a case
) -> None:
    """What kube-proxy would still use counts, down to backends that drain."""
    dead = backend("10.42.0.9", ready=False)
    result = announced(service(), endpoint_slice(dead, backend("10.42.0.5", **conditions)))
    assert result.messages == {CART: changed(ready=ready)}


def test_a_service_without_backends_is_not_ready() -> None:
    """Slices of other makers' names, of ours, and empty ones answer nothing."""
    fqdn = endpoint_slice(POD, family="FQDN")
    ours = endpoint_slice(POD, labels={SLICE_MANAGED_BY_LABEL: SLICE_MANAGER})
    assert announced(service(), fqdn, ours, endpoint_slice()).messages == {CART: USUAL}


@pytest.mark.parametrize(("conditions", "read"), CONDITIONS.values(), ids=CONDITIONS)
def test_unknown_conditions_are_read_as_the_api_reference_says(
    conditions: dict[str, bool], read: tuple[bool, bool, bool]
) -> None:
    """Unknown readiness is ready, unknown serving is as ready, unknown terminating is not."""
    ready, serving, terminating = read
    given_slice = endpoint_slice(backend("10.42.0.5", **conditions))
    message = announced(annotated(PODS), given_slice).messages[SLICE]
    assert isinstance(message, EndpointsExported)
    assert message.addresses == (
        BackendAddress(
            addresses=("10.42.0.5",), ready=ready, serving=serving, terminating=terminating
        ),
    )


@pytest.mark.parametrize(("given_slice", "message"), SLICES.values(), ids=SLICES)
def test_slices_are_published_in_pods_mode(
    given_slice: EndpointSlice, message: EndpointsExported | None
) -> None:
    """A slice becomes a message beside the Service's, unless it has nothing for others."""
    expected: dict[object, Message] = {SLICE: message} if message else {}
    messages = dict(announced(annotated(PODS), given_slice).messages)
    messages.pop(CART)
    assert messages == expected


def test_slices_stay_at_home_in_cluster_ip_mode() -> None:
    """Mirrors that use the cluster IP need to know whether anything answers, not what."""
    result = announced(service(), endpoint_slice(POD))
    assert result.messages == {CART: changed(ready=True)}


def test_a_slice_name_with_dots_is_one_subject() -> None:
    """Slices may bear any subdomain as their name."""
    result = announced(annotated(PODS), endpoint_slice(POD, name="cart.v1-x.1"))
    assert subject(Kind.ENDPOINTS, "cart.v1-x.1") in result.messages


@given(st.permutations([endpoint_slice(POD, name=f"cart-{n}", ports=()) for n in range(4)]))
def test_the_order_of_slices_does_not_matter(slices: list[EndpointSlice]) -> None:
    """Equal slices in any order give equal announcements."""
    assert announced(annotated(PODS), *slices) == announced(
        annotated(PODS), *sorted(slices, key=lambda s: s.metadata.name)
    )


@given(st.builds(Port, port=st.none() | st.integers(-1, 70000), protocol=st.text(max_size=4)))
def test_no_port_breaks_an_announcement(port: Port) -> None:
    """Whatever a slice says of a port, what is published keeps the contract."""
    result = announced(annotated(PODS), endpoint_slice(Endpoint(), ports=(port,)))
    for message in result.messages.values():
        msgspec.json.decode(msgspec.json.encode(message), type=type(message))
