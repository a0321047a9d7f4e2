"""Builders of exports and of mirrors: everything has a default, a test names what matters to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from heliograph.contract.messages import (
    BackendAddress,
    ClusterAnnounced,
    EndpointsExported,
    ServiceExported,
    ServicePort,
)
from heliograph.contract.names import ClusterId
from heliograph.kube.objects import (
    FIELD_MANAGER,
    EndpointSlice,
    KubeObject,
    ManagedField,
    Namespace,
    ObjectMeta,
    Service,
    ServiceCIDR,
    ServiceCIDRSpec,
    T,
)
from heliograph.marks import MANAGED_BY_LABEL, MANAGER
from services.reflector.admission import Admission
from services.reflector.desired import Importing
from services.reflector.settings import ReflectorSettings
from services.reflector.table import Export, ServiceKey

HERE = ClusterId("here")
EAST, SOUTH, WEST = ClusterId("east"), ClusterId("south"), ClusterId("west")
KEY = ServiceKey("shop", "cart")

HTTP = ServicePort(name="http", port=80)
GRPC = ServicePort(name="grpc", port=90, app_protocol="kubernetes.io/h2c")
DNS = ServicePort(name="dns", protocol="UDP", port=53)

IP, IP6 = "10.110.0.7", "fd00:110::7"
OLD, NEW, NEWEST = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))

CLUSTER = ClusterAnnounced(
    service_cidrs=("10.110.0.0/16", "fd00:110::/112"), pod_cidrs=("10.42.0.0/16", "fd00:42::/64")
)
WEB = ServiceExported(
    ports=(HTTP,), cluster_ips=(IP,), ip_families=("IPv4",), ready=True, exported_at=OLD
)
PODS = msgspec.structs.replace(WEB, endpoints="pods")
HEADLESS = msgspec.structs.replace(WEB, headless=True, cluster_ips=(), endpoints="pods")


def but(obj: Any, **changes: Any) -> Any:  # noqa: ANN401 - any Struct
    """Return the Struct with some fields changed."""
    return msgspec.structs.replace(obj, **changes)


def backend(address: str, **changes: Any) -> BackendAddress:  # noqa: ANN401
    """Return a ready backend with one address."""
    return BackendAddress(addresses=(address,), **changes)


def pods(
    *addresses: str | BackendAddress,
    ports: Iterable[ServicePort] = (ServicePort(name="http", port=8080),),
    **changes: Any,  # noqa: ANN401
) -> EndpointsExported:
    """Return a slice of the Service of `KEY`."""
    backends = tuple(backend(a) if isinstance(a, str) else a for a in addresses)
    family = "IPv6" if backends and ":" in backends[0].addresses[0] else "IPv4"
    base = EndpointsExported(
        service=KEY.name,
        address_type=family,
        addresses=backends,
        ports=tuple(ports),
        service_ports=(HTTP,),
    )
    return but(base, **changes)


def export(
    cluster: ClusterId = EAST,
    service: ServiceExported = WEB,
    slices: Mapping[str, EndpointsExported] | None = None,
    announced: ClusterAnnounced = CLUSTER,
) -> Export:
    """Return one cluster's export."""
    return Export(cluster=cluster, announced=announced, service=service, slices=slices or {})


def importing(*families: str, **settings: Any) -> Importing:  # noqa: ANN401
    """Return the importing cluster; IPv4 only unless families are given."""
    return Importing(
        cluster=HERE,
        families=frozenset(families or ("IPv4",)),
        admission=Admission(ReflectorSettings(cluster=HERE, **settings)),
    )


def stored(obj: T, version: str = "1", *, by: str = FIELD_MANAGER, uid: str = "u1") -> T:
    """Return the object as an API server keeps it, written by us unless said otherwise."""
    metadata = but(
        obj.metadata,
        uid=uid,
        resource_version=version,
        managed_fields=(ManagedField(manager=by),),
    )
    return but(obj, metadata=metadata)


def foreign(key: ServiceKey = KEY, version: str = "9", by: str = "helm") -> Service:
    """Return a Service of somebody else."""
    metadata = ObjectMeta(name=key.name, namespace=key.namespace)
    return stored(Service(metadata=metadata), version, by=by, uid="foreign")


def with_labels(obj: T, changes: Mapping[str, str | None]) -> T:
    """Return the object with labels changed, or taken off where None is given."""
    merged = {**obj.metadata.labels, **changes}
    labels = {name: value for name, value in merged.items() if value is not None}
    return but(obj, metadata=but(obj.metadata, labels=labels))


def namespace(name: str = KEY.namespace, *, terminating: bool = False, ours: bool = False) -> Any:  # noqa: ANN401
    """Return a namespace."""
    made = Namespace(
        metadata=ObjectMeta(
            name=name,
            labels={MANAGED_BY_LABEL: MANAGER} if ours else {},
            deletion_timestamp=OLD if terminating else None,
        )
    )
    return stored(made, by=FIELD_MANAGER if ours else "kubectl")


def service_cidr(*cidrs: str, name: str = "kubernetes") -> ServiceCIDR:
    """Return a ServiceCIDR."""
    return ServiceCIDR(metadata=ObjectMeta(name=name), spec=ServiceCIDRSpec(cidrs=cidrs))


def endpoints(key: ServiceKey = KEY) -> KubeObject:
    """Return Endpoints that carry our label, by a controller."""
    metadata = ObjectMeta(
        name=key.name, namespace=key.namespace, labels={MANAGED_BY_LABEL: MANAGER}
    )
    return stored(KubeObject(metadata=metadata), by="kube-controller-manager", uid="endpoints")


def leftover(name: str = "cart-x7x7x", key: ServiceKey = KEY) -> EndpointSlice:
    """Return a slice as the EndpointSlice controller leaves it on a mirror, labels copied."""
    labels = {
        MANAGED_BY_LABEL: MANAGER,
        "kubernetes.io/service-name": key.name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    metadata = ObjectMeta(name=name, namespace=key.namespace, labels=labels)
    made = EndpointSlice(metadata=metadata, address_type="IPv4", endpoints=(), ports=())
    return stored(made, by="kube-controller-manager", uid=name)
