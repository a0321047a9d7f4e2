"""Addresses as WireGuard takes them: endpoints and ranges, checked before they are sent. Pure."""

from __future__ import annotations

import ipaddress
from typing import Final

from heliograph.wireguard.errors import TunnelError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_PORT: Final = 65535


def split_endpoint(endpoint: str) -> tuple[IPAddress, int]:
    """Return address and port of "address:port" (IPv6 in brackets, with a zone if it has one).

    Raises:
        TunnelError: It is something else, such as a name: those are resolved before.
    """
    host, _, port = endpoint.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        address = None
    number = int(port) if port.isascii() and port.isdecimal() else 0
    if address is None or bracketed != (address.version == 6) or not 1 <= number <= _MAX_PORT:  # noqa: PLR2004 - IPv6
        raise TunnelError(f"{endpoint!r} is no endpoint: WireGuard takes an address and a port")
    return address, number


def join_endpoint(address: str, port: int) -> str:
    """Return "address:port", with an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse_range(text: str) -> IPNetwork:
    """Return a canonical range.

    Raises:
        TunnelError: It is none.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as exc:
        raise TunnelError(f"{text!r} is no range that WireGuard takes: {exc}") from exc
