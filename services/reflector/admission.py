"""Which addresses and namespaces an importing cluster takes from others. Pure.

A stolen or hostile cluster may say anything about itself; it must not become able to draw traffic
to addresses that are not its own.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress

from services.reflector.settings import ReflectorSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        return _within(address, declared) and _within(address, self._admitted)


def _within(address: str, ranges: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    special = parsed.is_loopback or parsed.is_link_local or parsed.is_multicast
    if special or parsed.is_unspecified:
        return False
    return any(parsed in network for network in _networks(ranges))


@functools.lru_cache(maxsize=1024)
def _networks(ranges: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the ranges that can be read; one that cannot holds no address."""
    networks = []
    for text in ranges:
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(networks)
