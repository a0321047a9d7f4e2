"""Addresses and ranges as Kilo reads them, that is as Go's standard library does. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from heliograph.memo import remembered
from heliograph.ranges import IPV4_BYTES, canonical, pack_address
from heliograph.wireguard.endpoints import format_address

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_RFC_1918: Final = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
)
_NOT_PUBLIC_TO_KILO: Final = (*_RFC_1918, ipaddress.ip_network("fd00::/16"))
_BEHIND_NAT: Final = (*_RFC_1918, *map(ipaddress.ip_network, ("100.64.0.0/10", "fc00::/7")))
_WITH_PREFIX: Final = re.compile(r"[^/%]+/[0-9]{1,3}")


@remembered
def parse_address(text: str) -> IPAddress | None:
    """Return the address, an IPv4 one where it is mapped into IPv6; None if the text is none."""
    raw = pack_address(text)
    if raw is None:  # a zone means nothing elsewhere
        return None
    address = ipaddress.ip_address(raw)
    return getattr(address, "ipv4_mapped", None) or address


@remembered
def parse_cidr(text: str) -> str | None:
    """Return the range with its host bits cleared; None without a mask in digits."""
    return canonical(text) if _WITH_PREFIX.fullmatch(text) else None


def host_cidr(address: IPAddress) -> str:
    """Return the range of one address: /32 or /128."""
    return f"{format_address(address.packed)}/{address.max_prefixlen}"


@remembered
def host_cidr_of(text: str) -> str | None:
    """Return the range of one address; None if the text is none that `parse_address` reads."""
    raw = pack_address(text)
    if raw is not None and len(raw) == IPV4_BYTES:  # such a text is canonical
        return f"{text}/32"
    address = parse_address(text)
    return host_cidr(address) if address else None


def is_public(address: IPAddress) -> bool:
    """Tell whether Kilo takes an address for a public one.

    It knows RFC 1918 and fd00::/16 only: the shared range of carriers (100.64.0.0/10) and all
    other local IPv6 addresses are public to it.
    """
    return not any(address in network for network in _NOT_PUBLIC_TO_KILO)


def is_behind_nat(address: IPAddress) -> bool:
    """Tell whether an address is one of those that NAT hides (RFC 1918, RFC 6598, RFC 4193)."""
    return any(address in network for network in _BEHIND_NAT)
