"""The slices by which a mirror points at one exporting cluster: its cluster IPs, or its pods. Pure.

One cluster and one family per slice, and never an address that is not that cluster's own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from heliograph.contract.messages import EndpointsExported, ServicePort
from heliograph.contract.names import ClusterId
from heliograph.kube.objects import Endpoint, EndpointConditions, EndpointSlice, Port
from services.reflector.admission import Admission
from services.reflector.mirror import MirrorSlice, MirrorSpec
from services.reflector.render import bare
from services.reflector.table import Export, ServiceKey

_ADDRESSES_PER_SLICE: Final = 100


class Backends(msgspec.Struct, frozen=True, kw_only=True):
    """What one exporting cluster contributes to a mirror.

    Attributes:
        slices: By name.
        left_out: Addresses that are not admitted, in order.
    """

    slices: Mapping[str, MirrorSlice]
    left_out: tuple[str, ...] = ()


def backends_of(
    key: ServiceKey, export: Export, spec: MirrorSpec, admission: Admission
) -> Backends:
    """Return the slices of one export, for a mirror of this form."""
    pieces = _cluster_ip_slices if export.service.endpoints == "cluster-ip" else _pod_slices
    declared = declared_ranges(export)
    slices: dict[str, MirrorSlice] = {}
    left_out: set[str] = set()
    for name, item in pieces(key, export, spec):
        admitted, refused = _divide(item.endpoints, declared, admission)
        slices[name] = msgspec.structs.replace(item, endpoints=admitted)
        left_out.update(address for endpoint in refused for address in endpoint.addresses)
    return Backends(slices=slices, left_out=tuple(sorted(left_out)))


def silenced(item: EndpointSlice, exporting: ClusterId) -> MirrorSlice:
    """Return a slice as it stands, but with no backend that takes or answers anything."""
    return muted(
        MirrorSlice(
            exporting=exporting,
            address_type=item.address_type,
            endpoints=item.endpoints or (),
            ports=tuple(map(bare, item.ports or ())),
        )
    )


def muted(item: MirrorSlice) -> MirrorSlice:
    """Return a slice with no backend that takes or answers anything."""
    return msgspec.structs.replace(item, endpoints=tuple(map(_muted, item.endpoints)))


def _muted(endpoint: Endpoint) -> Endpoint:
    conditions = msgspec.structs.replace(endpoint.conditions, ready=False, serving=False)
    return msgspec.structs.replace(endpoint, conditions=conditions)


def declared_ranges(export: Export) -> tuple[str, ...]:
    """Return the ranges in which the addresses of an export must lie."""
    announced = export.announced
    by_cluster_ip = export.service.endpoints == "cluster-ip"
    return announced.service_cidrs if by_cluster_ip else announced.pod_cidrs


def mirrored_port(port: ServicePort) -> Port:
    """Return a port as mirrors and their slices have it."""
    return Port(
        name=port.name, protocol=port.protocol, port=port.port, app_protocol=port.app_protocol
    )


def slice_name(key: ServiceKey, exporting: ClusterId, which: str) -> str:
    """Return the name of one slice of a mirror: readable, deterministic, below 253 characters.

    The hash keeps apart what the readable part does not: "a-b" of "c" and "a" of "b-c".
    """
    hashed = hashlib.blake2b(f"{exporting}/{key.name}/{which}".encode(), digest_size=5).digest()
    suffix = base64.b32encode(hashed).decode().lower()
    return f"{key.name}-{exporting}-{suffix}"


def _cluster_ip_slices(
    key: ServiceKey, export: Export, spec: MirrorSpec
) -> Iterator[tuple[str, MirrorSlice]]:
    """Yield a slice for each family, with the exporting cluster's cluster IP as backend."""
    service = export.service
    condition = EndpointConditions(ready=service.ready, serving=service.ready, terminating=False)
    for family, address in zip(service.ip_families, service.cluster_ips, strict=False):
        if family in spec.families:
            yield (
                slice_name(key, export.cluster, family),
                MirrorSlice(
                    exporting=export.cluster,
                    address_type=family,
                    endpoints=(Endpoint(addresses=(address,), conditions=condition),),
                    ports=_matching(service.ports, service.ports, spec),
                ),
            )


def _pod_slices(
    key: ServiceKey, export: Export, spec: MirrorSpec
) -> Iterator[tuple[str, MirrorSlice]]:
    """Yield the exporting cluster's slices, each in pieces of at most 100 addresses."""
    for source, item in sorted(export.slices.items()):
        if item.address_type not in spec.families:
            continue
        ports = _matching(item.ports, item.service_ports, spec)
        for number, endpoints in enumerate(_pieces(_endpoints(item))):
            # a slice's family cannot change, so the name of another family is another one
            which = f"{source}/{item.address_type}/{number}"
            yield (
                slice_name(key, export.cluster, which),
                MirrorSlice(
                    exporting=export.cluster,
                    address_type=item.address_type,
                    endpoints=endpoints,
                    ports=ports,
                ),
            )


def _endpoints(item: EndpointsExported) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(
            addresses=backend.addresses,
            conditions=EndpointConditions(
                ready=backend.ready, serving=backend.serving, terminating=backend.terminating
            ),
            hostname=backend.hostname,
        )
        for backend in item.addresses
    )


def _pieces(endpoints: tuple[Endpoint, ...]) -> Iterator[tuple[Endpoint, ...]]:
    """Yield pieces of at most 100; one empty piece when there are none."""
    for start in range(0, max(len(endpoints), 1), _ADDRESSES_PER_SLICE):
        yield endpoints[start : start + _ADDRESSES_PER_SLICE]


def _matching(
    ports: Iterable[ServicePort], service_ports: Iterable[ServicePort], spec: MirrorSpec
) -> tuple[Port, ...]:
    """Return the ports whose Service port is one of the mirror's.

    kube-proxy ties an address's port to a Service's by name alone. So a port whose Service port has
    the same name, but another number or protocol than the mirror's, would answer in its place.
    """
    wanted = {(p.name, p.protocol, p.port) for p in spec.ports}
    agreed = {p.name for p in service_ports if (p.name, p.protocol, p.port) in wanted}
    return tuple(mirrored_port(port) for port in ports if port.name in agreed)


def _divide(
    endpoints: Iterable[Endpoint], declared: tuple[str, ...], admission: Admission
) -> tuple[tuple[Endpoint, ...], list[Endpoint]]:
    """Return the endpoints whose addresses are all admitted, and the others."""
    admitted: list[Endpoint] = []
    refused: list[Endpoint] = []
    for endpoint in endpoints:
        fits = all(admission.admits(address, declared) for address in endpoint.addresses)
        (admitted if fits else refused).append(endpoint)
    return tuple(admitted), refused
