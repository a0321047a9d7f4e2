"""Which addresses and namespaces an importing cluster takes from others. Pure.

A stolen or hostile cluster may say anything about itself; it must not become able to draw traffic
to addresses that are not its own.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import socket
from typing import Final

from services.reflector.settings import ReflectorSettings

Range = tuple[int, int, int]
"""Bits of the family's addresses, first and last address as numbers: compared for each mirror."""

_SPECIAL: Final = (
    *("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"),
    *("::/128", "::1/128", "fe80::/10", "ff00::/8"),
)
"""Unspecified, loopback, link-local, multicast (RFC 6890, RFC 4291)."""


class Admission:
    """The policy of one importing cluster."""

    def __init__(self, settings: ReflectorSettings) -> None:
        self._admitted = settings.admitted_ranges
        self._denied_namespaces = settings.denied_namespaces

    def denies_namespace(self, namespace: str) -> bool:
        """Tell whether nobody may export into the namespace."""
        return any(fnmatch.fnmatchcase(namespace, glob) for glob in self._denied_namespaces)

    def admits(self, address: str, declared: tuple[str, ...]) -> bool:
        """Tell whether the address lies in a range that its cluster declared and we admit."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            packed = socket.inet_pton(family, address)
        except OSError:
            return False
        bits, number = 8 * len(packed), int.from_bytes(packed)
        return (
            _holds(_ranges(declared), bits, number)
            and _holds(_ranges(self._admitted), bits, number)
            and not _holds(_ranges(_SPECIAL), bits, number)
        )


def _holds(ranges: tuple[Range, ...], bits: int, number: int) -> bool:
    for own, first, last in ranges:  # noqa: SIM110 - twice as quick, and asked for each address
        if bits == own and first <= number <= last:
            return True
    return False


@functools.lru_cache(maxsize=1024)
def _ranges(texts: tuple[str, ...]) -> tuple[Range, ...]:
    """Return the ranges that can be read; one that cannot holds no address."""
    ranges = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        ranges.append((network.max_prefixlen, int(network[0]), int(network[-1])))
    return tuple(ranges)
