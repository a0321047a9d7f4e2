"""From decisions about a mirror to Kubernetes objects, and back to compare. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.kube.objects import (
    ClientIPConfig,
    EndpointSlice,
    ObjectMeta,
    Port,
    Service,
    ServiceSpec,
    SessionAffinityConfig,
)
from heliograph.marks import (
    EXPORTING_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    SERVICE_NAME_LABEL,
    SLICE_MANAGED_BY_LABEL,
    SLICE_MANAGER,
    SOURCE_CLUSTER_LABEL,
)
from services.reflector.mirror import MirrorSlice, MirrorSpec
from services.reflector.table import ServiceKey

_DEFAULT_AFFINITY_S: Final = 10800
"""The API server's."""


def new_service(key: ServiceKey, wanted: MirrorSpec, exporting: str) -> Service:
    """Return a mirror's Service, to be created."""
    metadata = ObjectMeta(
        name=key.name,
        namespace=key.namespace,
        labels={MANAGED_BY_LABEL: MANAGER},
        annotations={EXPORTING_ANNOTATION: exporting},
    )
    spec = _spec(wanted, wanted.families)
    if wanted.headless:
        spec = msgspec.structs.replace(spec, cluster_ip="None")
    return Service(metadata=metadata, spec=spec)


def changed_service(own: Service, wanted: MirrorSpec, exporting: str) -> Service:
    """Return the Service as it should be, with what is not ours to decide as it is."""
    spec = msgspec.structs.replace(
        _spec(wanted, families_in_place(own, wanted)),
        cluster_ip=own.spec.cluster_ip,
        cluster_ips=own.spec.cluster_ips[: len(wanted.families)],
    )
    metadata = _rewritten(
        own.metadata,
        labels={MANAGED_BY_LABEL: MANAGER},
        annotations={EXPORTING_ANNOTATION: exporting},
    )
    return Service(metadata=metadata, spec=spec)


def _spec(wanted: MirrorSpec, families: tuple[str, ...]) -> ServiceSpec:
    affinity = wanted.affinity_s
    return ServiceSpec(
        ip_families=families,
        ip_family_policy="SingleStack" if len(families) == 1 else "RequireDualStack",
        ports=wanted.ports,
        session_affinity="None" if affinity is None else "ClientIP",
        session_affinity_config=None
        if affinity is None
        else SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=affinity)),
    )


def slice_satisfied(key: ServiceKey, found: EndpointSlice, wanted: MirrorSlice) -> bool:
    """Tell whether a slice is as it should be; labels of others beside ours are."""
    return (
        _slice_labels(key, wanted).items() <= found.metadata.labels.items()
        and (found.endpoints or ()) == wanted.endpoints
        and tuple(map(bare, found.ports or ())) == wanted.ports
    )


def new_slice(key: ServiceKey, name: str, item: MirrorSlice) -> EndpointSlice:
    """Return a slice of a mirror, to be created."""
    metadata = ObjectMeta(name=name, namespace=key.namespace, labels=_slice_labels(key, item))
    return EndpointSlice(
        metadata=metadata,
        address_type=item.address_type,
        endpoints=item.endpoints,
        ports=item.ports,
    )


def changed_slice(key: ServiceKey, found: EndpointSlice, item: MirrorSlice) -> EndpointSlice:
    """Return the slice as it should be, with what is not ours to decide as it is."""
    metadata = _rewritten(found.metadata, labels=_slice_labels(key, item), annotations={})
    return msgspec.structs.replace(
        found, metadata=metadata, endpoints=item.endpoints, ports=item.ports
    )


def _slice_labels(key: ServiceKey, item: MirrorSlice) -> dict[str, str]:
    return {
        SERVICE_NAME_LABEL: key.name,
        SLICE_MANAGED_BY_LABEL: SLICE_MANAGER,
        SOURCE_CLUSTER_LABEL: item.exporting,
        MANAGED_BY_LABEL: MANAGER,
    }


def _rewritten(
    metadata: ObjectMeta, *, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> ObjectMeta:
    """Return metadata for a replacement: ours on top of others'; who wrote what is the server's."""
    return msgspec.structs.replace(
        metadata,
        labels={**metadata.labels, **labels},
        annotations={**metadata.annotations, **annotations},
        managed_fields=(),
    )


def families_in_place(own: Service, wanted: MirrorSpec) -> tuple[str, ...]:
    """Return the wanted families with the present primary one first, as it cannot be changed."""
    primary = own.spec.ip_families[:1]
    if set(primary) <= set(wanted.families):
        return (*primary, *(f for f in wanted.families if f not in primary))
    return wanted.families


def decided_fields(own: Service, wanted: MirrorSpec) -> dict[str, object]:
    """Return fields of the spec that have one right value each."""
    return {
        "type": "ClusterIP",
        "ip_families": families_in_place(own, wanted),
        "selector": {},
        "internal_traffic_policy": own.spec.internal_traffic_policy
        if wanted.headless
        else "Cluster",
        "external_ips": (),
        "external_name": "",
        "publish_not_ready_addresses": False,
        "traffic_distribution": None,
    }


def bare(port: Port) -> Port:
    """Return the part of a port that we decide."""
    return Port(
        name=port.name, protocol=port.protocol, port=port.port, app_protocol=port.app_protocol
    )


def affinity_s(spec: ServiceSpec) -> int | None:
    """Return the time-out of client-IP affinity; None without affinity."""
    if spec.session_affinity != "ClientIP":
        return None
    config = spec.session_affinity_config
    configured = config.client_ip.timeout_seconds if config and config.client_ip else None
    return configured or _DEFAULT_AFFINITY_S
