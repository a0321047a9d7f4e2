"""Which IP addresses Kubernetes accepts where. Pure.

Since 1.36 the older fields are strict as well: no leading zeros, no IPv4 inside IPv6. Newer ones
(IPv6 addresses of EndpointSlices) also insist on the canonical form, `fd00::1` for `FD00::0001`.
Source: apimachinery's pkg/util/validation/ip.go, v0.36; KEP-4858.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from heliograph.lab.memory.status import Cause, invalid

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_LEADING_ZERO = re.compile(r"(^|\.)0+(?=\d)")
_PLACES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("127.0.0.0/8", "::1/128"), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    (
        ("169.254.0.0/16", "fe80::/10"),
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
    ),
    (
        ("224.0.0.0/24", "ff02::/16"),
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
    ),
)
_RANGES = tuple((tuple(map(ipaddress.ip_network, places)), why) for places, why in _PLACES)


def check_ip(field: str, address: str, *, canonical: bool = False) -> list[Cause]:
    """Say what keeps `address` from being an IP address, and from its canonical form if asked."""
    parsed = _parsed(address)
    if parsed is None:
        bare = _LEADING_ZERO.sub(r"\1", address)
        why = "must not have leading 0s" if _parsed(bare) else _NOT_AN_ADDRESS
        return [invalid(field, address, why)]
    if getattr(parsed, "ipv4_mapped", None):
        return [invalid(field, address, "must not be an IPv4-mapped IPv6 address")]
    if canonical and str(parsed) != address:
        return [invalid(field, address, f'must be in canonical form ("{parsed}")')]
    return []


def check_endpoint_ip(field: str, address: str, version: int) -> Iterator[Cause]:
    """Say what keeps `address` from being a backend's, in a slice of that IP version."""
    if causes := check_ip(field, address, canonical=version == 6):  # noqa: PLR2004
        yield from causes
        return
    parsed = ipaddress.ip_address(address)
    if parsed.version != version:
        yield invalid(field.rpartition("[")[0], address, f"must be an IPv{version} address")
    if parsed.is_unspecified:
        yield invalid(field, address, f"may not be unspecified ({address})")
    for networks, why in _RANGES:
        if any(parsed in network for network in networks):
            yield invalid(field, address, why)


def _parsed(text: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
