"""Keys, endpoints and numbers as people and programs write them, read as Go reads them. Pure."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Final

from heliograph.contract.names import is_dns_subdomain
from heliograph.memo import remembered
from heliograph.ranges import IPV4_BYTES, pack_address, split_plain

_KEY_BYTES: Final = 32
_MAX_UINT16: Final = 65535
_IPV4: Final = 4
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@remembered
def parse_public_key(text: str) -> str | None:
    """Return the key, in its one canonical form, if it is base64 of 32 bytes, not all zero.

    Read as Go does it: ends of lines, and bits left over in the last digit, mean nothing.
    """
    try:
        key = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(key).decode() if len(key) == _KEY_BYTES and any(key) else None


@remembered
def parse_endpoint(text: str) -> str | None:
    """Return "host:port" if its host is an IP address (IPv6 in brackets) or a DNS name."""
    host, colon, port = text.rpartition(":")
    if not colon or not 1 <= (parse_number(port) or 0) <= _MAX_UINT16:
        return None
    if host.startswith("[") and host.endswith("]"):
        return text if is_ip(host[1:-1], 6) else None
    return text if is_ip(host, 4) or is_dns_subdomain(host) else None


def endpoint_name(endpoint: str | None) -> str | None:
    """Return the DNS name in an endpoint; None if it has an address, or there is no endpoint."""
    return _name_in(endpoint) if endpoint else None


@remembered
def _name_in(endpoint: str) -> str | None:
    host = endpoint.rpartition(":")[0]
    return None if not host or host.startswith("[") or is_ip(host, 4) else host


@remembered
def parse_interface(text: str) -> str | None:
    """Return "address/mask" in canonical form; None without a mask, or with a zone."""
    if "/" not in text or "%" in text:  # a zone means nothing elsewhere
        return None
    plain = split_plain(text)
    if plain is not None and len(plain[0]) == IPV4_BYTES:
        return f"{text.partition('/')[0]}/{plain[1]}"
    try:
        return str(ipaddress.ip_interface(text))
    except ValueError:
        return None


def parse_number(text: str) -> int | None:
    """Return a number in plain digits; people write annotations, and `int` is lenient or raises."""
    return int(text) if _NUMBER.fullmatch(text) else None


def is_ip(text: str, version: int) -> bool:
    """Tell whether a text is an address of this version, without a zone."""
    raw = pack_address(text)
    return raw is not None and (len(raw) == IPV4_BYTES) == (version == _IPV4)
