"""Addresses as WireGuard takes them: endpoints and ranges, checked before they are sent. Pure."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from heliograph.ranges import IPV4_BYTES, split_plain
from heliograph.wireguard.errors import TunnelError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

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


def pack_range(text: str) -> tuple[bytes, int]:
    """Return network address (4 bytes, or 16) and prefix length of a range without host bits.

    Raises:
        TunnelError: It is none.
    """
    plain = split_plain(text)
    if plain is None or _has_host_bits(*plain):
        raise TunnelError(f"{text!r} is no range that WireGuard takes")
    return plain


def _has_host_bits(raw: bytes, length: int) -> bool:
    return bool(int.from_bytes(raw, "big") & ((1 << (len(raw) * 8 - length)) - 1))


def format_address(raw: bytes) -> str:
    """Return the text of an address of 4 bytes, or 16."""
    # socket.inet_ntop writes some IPv6 addresses another way than Python's ipaddress does.
    return socket.inet_ntoa(raw) if len(raw) == IPV4_BYTES else str(ipaddress.IPv6Address(raw))
