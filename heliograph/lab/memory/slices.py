"""EndpointSlices and Endpoints: defaults and checks. Pure.

Source: kube-apiserver's pkg/apis/discovery (v1/defaults.go, validation), v1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

from heliograph.lab.memory.ip_checks import check_endpoint_ip
from heliograph.lab.memory.names import check_label, check_qualified_name, check_subdomain
from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.service_checks import check_protocol
from heliograph.lab.memory.shapes import ENDPOINT_SLICE
from heliograph.lab.memory.status import (
    Cause,
    duplicate,
    invalid,
    not_supported,
    required,
    too_many,
)

_MAX_ENDPOINTS = 1000
_MAX_ADDRESSES = 100
_MAX_PORTS = 20_000
_TYPES = ("FQDN", "IPv4", "IPv6")


def admit_slice(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Complete an EndpointSlice's ports, and check its addresses against its type."""
    for member in ("endpoints", "ports"):
        new[member] = new.get(member) or None  # both are always there, `null` when empty
    for port in new["ports"] or ():
        port.setdefault("name", "")
        port["protocol"] = port.get("protocol") or "TCP"
    for endpoint in new["endpoints"] or ():
        endpoint.setdefault("conditions", {})
        endpoint.pop("deprecatedTopology", None)
    return [*_check_type(new, old), *_check_ports(new), *_check_endpoints(new, old)]


def admit_endpoints(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Give every port of an Endpoints object a protocol; only other programs still write them."""
    del old
    for subset in new.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")
    return []


SLICE_RULES = Rules(admit=admit_slice, shape=ENDPOINT_SLICE)
ENDPOINTS_RULES = Rules(admit=admit_endpoints)


def _check_type(new: JsonObject, old: JsonObject | None) -> Iterator[Cause]:
    kind = new.get("addressType", "")
    if not kind:
        yield required("addressType")
    elif kind not in _TYPES:
        yield not_supported("addressType", kind, _TYPES)
    if old is not None and kind != old["addressType"]:
        yield invalid("addressType", kind, "field is immutable")


def _check_ports(new: JsonObject) -> Iterator[Cause]:
    ports = new["ports"] or []
    if len(ports) > _MAX_PORTS:
        yield too_many("ports", len(ports), _MAX_PORTS)
        return
    seen: set[str] = set()
    for index, port in enumerate(ports):
        yield from _check_port(f"ports[{index}]", port)
        if port["name"] in seen:
            yield duplicate(f"ports[{index}].name", port["name"])
        seen.add(port["name"])


def _check_port(field: str, port: JsonObject) -> Iterator[Cause]:
    if port["name"]:
        yield from check_label(f"{field}.name", port["name"])
    yield from check_protocol(f"{field}.protocol", port["protocol"])
    if port.get("appProtocol") is not None:
        yield from check_qualified_name(f"{field}.appProtocol", port["appProtocol"])


def _check_endpoints(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    endpoints = new["endpoints"] or []
    if old is not None and endpoints == old["endpoints"]:
        return []  # what is stored was good once, and checking it again is slow
    if len(endpoints) > _MAX_ENDPOINTS:
        return [too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)]
    check_address = _ADDRESS_CHECKS.get(new.get("addressType", ""))
    if check_address is None:
        return []  # the type itself is wrong, which is said elsewhere
    checks = (_check_endpoint(i, e, check_address) for i, e in enumerate(endpoints))
    return list(chain.from_iterable(checks))


_AddressCheck = Callable[[str, str], Iterator[Cause]]


def _check_endpoint(index: int, endpoint: JsonObject, check: _AddressCheck) -> Iterator[Cause]:
    field, addresses = f"endpoints[{index}]", endpoint.get("addresses") or []
    if not addresses:
        yield required(f"{field}.addresses", "must contain at least 1 address")
    elif len(addresses) > _MAX_ADDRESSES:
        yield too_many(f"{field}.addresses", len(addresses), _MAX_ADDRESSES)
    for position, address in enumerate(addresses):
        yield from check(f"{field}.addresses[{position}]", address)
    if endpoint.get("hostname") is not None:
        yield from check_label(f"{field}.hostname", endpoint["hostname"])
    if endpoint.get("nodeName") is not None:
        yield from check_subdomain(f"{field}.nodeName", endpoint["nodeName"])


def _check_domain(field: str, address: str) -> Iterator[Cause]:
    name = address.removesuffix(".")
    if "." not in name or check_subdomain("", name):
        yield invalid(
            field, address, "should be a domain with at least two segments separated by dots"
        )


_ADDRESS_CHECKS: dict[str, _AddressCheck] = {
    "IPv4": partial(check_endpoint_ip, version=4),
    "IPv6": partial(check_endpoint_ip, version=6),
    "FQDN": _check_domain,
}
