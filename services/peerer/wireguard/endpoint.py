"""Where a node is reached, as a device takes it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from heliograph.admission.policy import is_special
from heliograph.admission.spans import Spans, span_of_text, touches
from heliograph.memo import remembered
from heliograph.wireguard.endpoints import join_endpoint
from heliograph.wireguard.notation import endpoint_name, is_ip, parse_endpoint


def device_endpoint(
    announced: str | None, resolved: Mapping[str, str], routed: Spans
) -> str | None:
    """Return "address:port" of an endpoint, as a device says it; None if it is not usable.

    Args:
        announced: "host:port", from another cluster; that of a refused one was judged by nobody.
        resolved: The address of each DNS name, as far as it has one.
        routed: Addresses that go through the tunnels: no endpoint is behind the tunnel to it.
    """
    if announced is None:
        return None
    name = endpoint_name(announced)
    spelt = _spelt(announced if name is None else _with_address(announced, resolved.get(name, "")))
    return None if spelt is None or touches(routed, span_of_text(spelt[0])) else spelt[1]


def _with_address(announced: str, address: str) -> str:
    """Return an endpoint with the address of its name; what is none stays none."""
    if not address or parse_endpoint(announced) is None:
        return ""
    return join_endpoint(address, int(announced.rpartition(":")[2]))


@remembered
def _spelt(endpoint: str) -> tuple[str, str] | None:
    """Return address and endpoint as a device says them; None if no machine is there."""
    if parse_endpoint(endpoint) is None:
        return None
    host, _, port = endpoint.rpartition(":")
    address = host if is_ip(host, 4) else str(ipaddress.ip_address(host.strip("[]")))
    return None if is_special(address) else (address, join_endpoint(address, int(port)))
