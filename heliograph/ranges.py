"""Ranges of IP addresses, as CIDRs in canonical form. Pure."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

IPV4_BITS: Final = 32
_DIGITS: Final = 3


def canonical(cidr: str) -> str | None:
    """Return the range with its host bits cleared; None if the text is none."""
    plain = _plain_ipv4(cidr)
    if plain is not None:
        return plain
    try:
        return str(ipaddress.ip_network(cidr, strict=False))
    except ValueError:
        return None


def _plain_ipv4(cidr: str) -> str | None:
    """Return it for IPv4 in its plain form, in a fifth of the time; else None."""
    address, _, length = cidr.partition("/")
    if ":" in address or not (length.isascii() and length.isdecimal()) or len(length) > _DIGITS:
        return None
    bits = IPV4_BITS - int(length)
    try:
        raw = socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        return None
    if bits < 0:
        return None
    first = int.from_bytes(raw, "big") >> bits << bits
    return f"{socket.inet_ntoa(first.to_bytes(4, 'big'))}/{IPV4_BITS - bits}"


def join_ranges(cidrs: Iterable[str]) -> tuple[str, ...]:
    """Return the smallest list of ranges that covers the same addresses, IPv4 first."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    v4 = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
    return (*map(str, v4), *map(str, v6))
