"""Builders of Kubernetes objects and messages: say what matters, the rest is ordinary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.kilo.peer import DNSOrIP, Peer, PeerEndpoint, PeerSpec
from heliograph.kube.objects import (
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    KubeObject,
    ManagedField,
    Node,
    NodeSpec,
    ObjectMeta,
    Port,
    Resource,
    Service,
    ServiceCIDR,
    ServiceCIDRSpec,
    ServiceSpec,
    T,
)
from heliograph.marks import EXPORT_LABEL, MANAGED_BY_LABEL, MANAGER, SERVICE_NAME_LABEL

EAST = ClusterId("east")
CREATED = "2026-11-22T10:00:00Z"
KEY = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
OTHER_KEY = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
NOW_S = 1_800_000_000


def subject(kind: Kind, name: str, namespace: str = "shop") -> Subject:
    """Return a subject of cluster east."""
    return Subject(
        cluster=EAST, kind=kind, namespace=namespace if kind.namespaced else "", name=name
    )


def service(
    name: str = "cart",
    namespace: str = "shop",
    *,
    meta: Mapping[str, Any] | None = None,
    **spec: Any,  # noqa: ANN401 - fields of ServiceSpec
) -> Service:
    """Return an exported Service with a cluster IP and port 80."""
    given_meta = {
        "labels": {EXPORT_LABEL: "true"},
        "uid": "u-1",
        "creation_timestamp": CREATED,
        **(meta or {}),
    }
    given_spec = {
        "cluster_ip": "10.96.0.7",
        "cluster_ips": ("10.96.0.7",),
        "ip_families": ("IPv4",),
        "ports": (Port(port=80),),
        **spec,
    }
    return Service(
        metadata=ObjectMeta(name=name, namespace=namespace, **given_meta),
        spec=ServiceSpec(**given_spec),
    )


def annotated(annotations: Mapping[str, str], **spec: Any) -> Service:  # noqa: ANN401 - as above
    """Return an exported Service with annotations."""
    return service(meta={"annotations": annotations}, **spec)


def mirror(name: str = "cart", namespace: str = "shop", *, manager: str = "heliograph") -> Service:
    """Return a Service with our label, last written by `manager`."""
    labels = {EXPORT_LABEL: "true", MANAGED_BY_LABEL: MANAGER}
    meta = {"labels": labels, "managed_fields": (ManagedField(manager=manager),)}
    return service(name, namespace, meta=meta)


def backend(*addresses: str, hostname: str | None = None, **conditions: bool) -> Endpoint:
    """Return one backend; conditions that are not given are unknown."""
    return Endpoint(
        addresses=addresses, hostname=hostname, conditions=EndpointConditions(**conditions)
    )


def endpoint_slice(
    *backends: Endpoint,
    name: str = "cart-x1",
    of: str = "cart",
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    ports: Iterable[Port] | None = (Port(port=8080),),
    family: str = "IPv4",
) -> EndpointSlice:
    """Return a slice of the Service `of` (empty: of none)."""
    owner = {SERVICE_NAME_LABEL: of} if of else {}
    return EndpointSlice(
        metadata=ObjectMeta(name=name, namespace=namespace, labels=owner | dict(labels or {})),
        address_type=family,
        endpoints=backends,
        ports=None if ports is None else tuple(ports),
    )


def kilo(**said: str) -> dict[str, str]:
    """Return Kilo's annotations; underscores stand for dashes."""
    return {f"kilo.squat.ai/{name.replace('_', '-')}": value for name, value in said.items()}


def kilo_node(name: str = "n1", *, seen_s: float = NOW_S, **said: str) -> Node:
    """Return a node as Kilo's agent leaves it; an annotation given as "absent" is left out."""
    usual = {
        "endpoint": "203.0.113.10:51820",
        "internal_ip": "10.0.0.4/24",
        "key": KEY,
        "last_seen": str(int(seen_s)),
        "wireguard_ip": "10.4.0.1/16",
        "granularity": "location",
    }
    given = {k: v for k, v in (usual | said).items() if v != "absent"}
    return node(name, annotations=kilo(**given))


def node(
    name: str = "n1",
    *,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    pod_cidrs: tuple[str, ...] = ("10.42.0.0/24",),
) -> Node:
    """Return a node with a pod range."""
    return Node(
        metadata=ObjectMeta(name=name, annotations=annotations or {}, labels=labels or {}),
        spec=NodeSpec(pod_cidr=pod_cidrs[0] if pod_cidrs else "", pod_cidrs=pod_cidrs),
    )


def peer(
    name: str = "east-n1",
    *allowed_ips: str,
    endpoint: str = "",
    meta: Mapping[str, Any] | None = None,
    **spec: Any,  # noqa: ANN401 - fields of PeerSpec
) -> Peer:
    """Return a Peer of one pod range, unless ranges are given; `endpoint` is "address:port"."""
    host, _, port = endpoint.rpartition(":")
    reached = PeerEndpoint(dns_or_ip=DNSOrIP(ip=host.strip("[]")), port=int(port or 0))
    given = {
        "allowed_ips": allowed_ips or ("10.42.0.0/24",),
        "endpoint": reached if endpoint else None,
        "public_key": KEY,
        **spec,
    }
    return Peer(metadata=ObjectMeta(name=name, **(meta or {})), spec=PeerSpec(**given))


def service_cidr(name: str, *cidrs: str) -> ServiceCIDR:
    """Return a ServiceCIDR."""
    return ServiceCIDR(metadata=ObjectMeta(name=name), spec=ServiceCIDRSpec(cidrs=cidrs))


def as_json(resource: Resource[T], obj: T) -> dict[str, Any]:
    """Return an object as the JSON that an API server takes."""
    decoded: dict[str, Any] = msgspec.json.decode(resource.body(obj))
    return decoded


def named(name: str, namespace: str = "") -> KubeObject:
    """Return an object of which only the name matters."""
    return KubeObject(metadata=ObjectMeta(name=name, namespace=namespace))
