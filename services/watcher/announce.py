"""From a Service and its slices to what is published of it. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import msgspec

from heliograph.contract.messages import (
    BackendAddress,
    EndpointsExported,
    EndpointsMode,
    IPFamily,
    Message,
    Protocol,
    ServiceExported,
    ServicePort,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.kube.objects import Endpoint, EndpointSlice, Port, Service
from heliograph.marks import (
    ENDPOINTS_ANNOTATION,
    IMPORTERS_ANNOTATION,
    SLICE_MANAGED_BY_LABEL,
    SLICE_MANAGER,
    is_ours,
)

_DEFAULT_AFFINITY_S = 10800
_MODES: Mapping[str, EndpointsMode] = {"cluster-ip": "cluster-ip", "pods": "pods"}
_PROTOCOLS: Mapping[str, Protocol] = {"TCP": "TCP", "UDP": "UDP", "SCTP": "SCTP"}
_MAX_PORT = 65535
_FAMILIES: Mapping[str, IPFamily] = {"IPv4": "IPv4", "IPv6": "IPv6"}


class NotExported(msgspec.Struct, frozen=True, kw_only=True):
    """A Service that carries the label, and is not exported all the same.

    Attributes:
        reason: One CamelCase word, for the Kubernetes Event.
        message: What stands against it, and what to do.
    """

    reason: str
    message: str


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """All that is published of one Service.

    Attributes:
        messages: By subject; a subject that is missing is withdrawn.
        warnings: What people should know; the Service is exported all the same.
    """

    messages: Mapping[Subject, Message]
    warnings: tuple[NotExported, ...] = ()


def announce_service(
    cluster: ClusterId, service: Service, slices: Iterable[EndpointSlice]
) -> Announcement | NotExported | None:
    """Return what is published of a Service that carries the export label.

    Args:
        cluster: The exporting cluster.
        service: As read from it.
        slices: All slices that bear the Service's name, in any order.

    Returns:
        None for a mirror of ours (never exported again: three clusters would feed one another for
        ever) and for a Service on its way out.
    """
    if is_ours(service) or service.metadata.deletion_timestamp:
        return None
    if (refused := _refuse(service)) is not None:
        return refused
    mode, warnings = _mode(service)
    backends = [item for item in slices if _counts(item)]
    messages: dict[Subject, Message] = {
        _subject(cluster, service, Kind.SERVICE, service.metadata.name): _exported(
            service, backends, mode
        )
    }
    if mode == "pods":
        for item in backends:
            subject = _subject(cluster, service, Kind.ENDPOINTS, item.metadata.name)
            messages[subject] = _endpoints(service, item)
    return Announcement(messages=messages, warnings=warnings)


def _refuse(service: Service) -> NotExported | None:
    where = f"Service {service.metadata.namespace}/{service.metadata.name}"
    if (service.metadata.namespace, service.metadata.name) == ("default", "kubernetes"):
        return NotExported(
            reason="NotExportable",
            message=f"{where} is every cluster's own API server and is not exported; "
            f"remove the label.",
        )
    if service.spec.type == "ExternalName":
        return NotExported(
            reason="InvalidServiceType",
            message=f"{where} is of type ExternalName, a DNS alias without addresses, and is not "
            f"exported; create the same ExternalName in the other clusters, or remove the label.",
        )
    return None


def _mode(service: Service) -> tuple[EndpointsMode, tuple[NotExported, ...]]:
    wanted = service.metadata.annotations.get(ENDPOINTS_ANNOTATION, "cluster-ip")
    if _is_headless(service):
        return "pods", ()
    if wanted in _MODES:
        return _MODES[wanted], ()
    warning = NotExported(
        reason="InvalidAnnotation",
        message=f"annotation {ENDPOINTS_ANNOTATION}: {wanted!r} is neither 'cluster-ip' nor "
        f"'pods'; mirrors use the cluster IP until it is mended.",
    )
    return "cluster-ip", (warning,)


def _exported(
    service: Service, slices: Iterable[EndpointSlice], mode: EndpointsMode
) -> ServiceExported:
    spec = service.spec
    headless = _is_headless(service)
    return ServiceExported(
        headless=headless,
        ports=_service_ports(spec.ports),
        cluster_ips=() if headless else spec.cluster_ips or tuple(filter(None, (spec.cluster_ip,))),
        ip_families=tuple(_FAMILIES[f] for f in spec.ip_families if f in _FAMILIES),
        session_affinity_s=_affinity_s(service),
        endpoints=mode,
        ready=any(_answers(e) for item in slices for e in item.endpoints or ()),
        exported_at=service.metadata.creation_timestamp or "1970-01-01T00:00:00Z",
        importers=_importers(service),
    )


def _endpoints(service: Service, item: EndpointSlice) -> EndpointsExported:
    return EndpointsExported(
        service=service.metadata.name,
        address_type=_FAMILIES[item.address_type],
        addresses=tuple(map(_backend, item.endpoints or ())),
        ports=_service_ports(item.ports or ()),
        service_ports=_service_ports(service.spec.ports),
    )


def _backend(endpoint: Endpoint) -> BackendAddress:
    """Return the endpoint with its unknown conditions read as the API reference says."""
    conditions = endpoint.conditions
    ready = conditions.ready is not False
    return BackendAddress(
        addresses=endpoint.addresses,
        ready=ready,
        serving=ready if conditions.serving is None else conditions.serving,
        terminating=conditions.terminating is True,
        hostname=endpoint.hostname,
    )


def _answers(endpoint: Endpoint) -> bool:
    """Tell whether kube-proxy would use it: ready, or the last resort of serving ones."""
    backend = _backend(endpoint)
    return backend.ready or backend.serving


def _counts(item: EndpointSlice) -> bool:
    """Tell whether the slice holds backends of this cluster, in a family that has addresses."""
    ours = item.metadata.labels.get(SLICE_MANAGED_BY_LABEL) == SLICE_MANAGER
    return not ours and item.address_type in _FAMILIES


def _affinity_s(service: Service) -> int | None:
    if service.spec.session_affinity != "ClientIP":
        return None
    config = service.spec.session_affinity_config
    configured = config.client_ip.timeout_seconds if config and config.client_ip else None
    return configured or _DEFAULT_AFFINITY_S


def _importers(service: Service) -> tuple[str, ...] | None:
    text = service.metadata.annotations.get(IMPORTERS_ANNOTATION)
    if text is None:
        return None
    return tuple(sorted({name.strip() for name in text.split(",")} - {""}))


def _is_headless(service: Service) -> bool:
    return service.spec.cluster_ip == "None"


def _service_ports(ports: tuple[Port, ...]) -> tuple[ServicePort, ...]:
    return tuple(filter(None, map(_service_port, ports)))


@functools.lru_cache(maxsize=1024)
def _service_port(port: Port) -> ServicePort | None:
    """Return the port; None for one that cannot be mirrored.

    One without number means "all ports"; slices may hold any number, which nobody checks.
    """
    protocol = _PROTOCOLS.get(port.protocol)
    if protocol is None or port.port is None or not 1 <= port.port <= _MAX_PORT:
        return None
    return ServicePort(
        name=port.name, protocol=protocol, port=port.port, app_protocol=port.app_protocol
    )


def _subject(cluster: ClusterId, service: Service, kind: Kind, name: str) -> Subject:
    return Subject(cluster=cluster, kind=kind, namespace=service.metadata.namespace, name=name)
