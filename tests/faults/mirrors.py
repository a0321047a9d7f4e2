"""Reads what is there as mirrors, in the form that the model has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.kube.objects import EndpointSlice, Port, Service
from heliograph.marks import (
    EXPORTING_ANNOTATION,
    SERVICE_NAME_LABEL,
    SOURCE_CLUSTER_LABEL,
)
from tests.faults.model import Mirror


def read_mirrors(services: Iterable[Service], slices: Iterable[EndpointSlice]) -> dict[str, Mirror]:
    """Return all mirrors by name; slices without a Service, and the reverse, are seen too."""
    by_name = {service.metadata.name: service for service in services}
    slices_of: dict[str, list[EndpointSlice]] = {name: [] for name in by_name}
    for item in slices:
        name = item.metadata.labels.get(SERVICE_NAME_LABEL, item.metadata.name)
        slices_of.setdefault(name, []).append(item)
    return {name: _mirror(by_name.get(name), items) for name, items in slices_of.items()}


def _mirror(service: Service | None, slices: Iterable[EndpointSlice]) -> Mirror:
    items = list(slices)
    service = service or Service()
    return Mirror(
        exporting=service.metadata.annotations.get(EXPORTING_ANNOTATION, ""),
        ports=_ports(service.spec.ports),
        slice_ports=tuple(sorted({p for item in items for p in _ports(item.ports or ())})),
        addresses=tuple(sorted(a for item in items for a in _addresses(item))),
        selector=bool(service.spec.selector),
    )


def _ports(ports: Iterable[Port]) -> tuple[tuple[str, str, int], ...]:
    return tuple((port.name, port.protocol, port.port or 0) for port in ports)


def _addresses(item: EndpointSlice) -> Iterable[tuple[str, bool, str]]:
    exporting = item.metadata.labels.get(SOURCE_CLUSTER_LABEL, "")
    for endpoint in item.endpoints or ():
        for address in endpoint.addresses:
            yield address, bool(endpoint.conditions.ready), exporting
