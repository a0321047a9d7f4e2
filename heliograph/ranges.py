"""Ranges of IP addresses, as CIDRs in canonical form. Pure."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from heliograph.memo import remembered

_DIGITS: Final = 3
IPV4_BYTES: Final = 4
"""Of an IPv4 address; one of IPv6 has 16."""


def pack_address(text: str) -> bytes | None:
    """Return the 4 bytes, or 16, of an address; None if the text is none, or has a zone.

    In a fifth of the time that Python's ipaddress takes, and there are thousands of addresses. The
    only text of an IPv4 address that this takes is its canonical one.
    """
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return None


@remembered
def split_plain(cidr: str) -> tuple[bytes, int] | None:
    """Return address (4 bytes, or 16) and prefix length of a range in its plain form; else None.

    Other forms, such as a mask in place of the length, are for Python's ipaddress.
    """
    address, _, length = cidr.partition("/")
    raw = pack_address(address)
    if raw is None or len(length) > _DIGITS or not (length.isascii() and length.isdecimal()):
        return None
    return (raw, int(length)) if int(length) <= len(raw) * 8 else None


def canonical(cidr: str) -> str | None:
    """Return the range with its host bits cleared; None if the text is none."""
    plain = split_plain(cidr)
    if plain is not None and len(plain[0]) == IPV4_BYTES:  # inet_ntop writes IPv6 another way
        raw, length = plain
        host_bits = IPV4_BYTES * 8 - length
        number = int.from_bytes(raw, "big")
        first = number >> host_bits << host_bits
        if first == number and cidr.endswith(f"/{length}"):
            return cidr
        return f"{socket.inet_ntoa(first.to_bytes(IPV4_BYTES, 'big'))}/{length}"
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
