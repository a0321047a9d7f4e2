"""Ranges of IP addresses, as CIDRs in canonical form. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def canonical(cidr: str) -> str | None:
    """Return the range with its host bits cleared; None if the text is none."""
    try:
        return str(ipaddress.ip_network(cidr, strict=False))
    except ValueError:
        return None


def join_ranges(cidrs: Iterable[str]) -> tuple[str, ...]:
    """Return the smallest list of ranges that covers the same addresses, IPv4 first."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    v4 = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
    return (*map(str, v4), *map(str, v6))
