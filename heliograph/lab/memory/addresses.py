"""What Services are given: cluster addresses and node ports. Pure.

The real server picks at random; here the next free one is taken, so that runs repeat. As there, a
low band is left for whoever asks for a certain address or port, until the rest is used up.
Source: KEP-3070 (cluster IP bands), KEP-3668 (node port bands).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import chain

ALREADY_ALLOCATED = "provided port is already allocated"
IPv4 = "IPv4"
IPv6 = "IPv6"
_LARGEST_IPV6_SIZE = 1 << 16  # the real allocator limits itself likewise


def family_of(address: str) -> str:
    """Return the Service family of a valid address."""
    return IPv4 if ipaddress.ip_address(address).version == 4 else IPv6  # noqa: PLR2004


class AddressPool:
    """The cluster addresses of one service range."""

    def __init__(self, cidr: str) -> None:
        self.network = ipaddress.ip_network(cidr)
        self.family = family_of(str(self.network.network_address))
        self._taken: set[str] = set()
        usable = self.network.num_addresses - (2 if self.family == IPv4 else 1)
        self._numbers = _Numbers(1, min(usable, _LARGEST_IPV6_SIZE), divisor=16)

    def free(self) -> str | None:
        """Return an address that nobody has; None when the range is used up."""
        candidates = (str(self.network[n]) for n in self._numbers)
        return next((a for a in candidates if a not in self._taken), None)

    def refusal(self, address: str) -> str | None:
        """Return why `address` cannot be had, in the server's words; None when it can."""
        if ipaddress.ip_address(address) not in self.network:
            return (
                f"failed to allocate IP {address}: the provided network does not match "
                "the current range"
            )
        if address in self._taken:
            return f"failed to allocate IP {address}: provided IP is already allocated"
        return None

    def take(self, address: str) -> None:
        """Mark an address as taken."""
        self._taken.add(address)

    def release(self, address: str) -> None:
        """Give an address back; one that was never taken is no matter."""
        self._taken.discard(address)


class PortPool:
    """The node ports of a cluster."""

    def __init__(self, first: int, last: int) -> None:
        self._range = range(first, last + 1)
        self._taken: set[int] = set()
        self._numbers = _Numbers(first, last, divisor=32)

    def free(self, besides: set[int]) -> int | None:
        """Return a port that is neither taken nor among `besides`; None when there is none."""
        return next((p for p in self._numbers if p not in self._taken | besides), None)

    def refusal(self, port: int) -> str | None:
        """Return why `port` cannot be had, in the server's words; None when it can."""
        if port not in self._range:
            valid = f"{self._range[0]}-{self._range[-1]}"
            return f"provided port is not in the valid range. The range of valid ports is {valid}"
        return ALREADY_ALLOCATED if port in self._taken else None

    def take(self, port: int) -> None:
        """Mark a port as taken."""
        self._taken.add(port)

    def release(self, port: int) -> None:
        """Give a port back."""
        self._taken.discard(port)


class _Numbers:
    """Candidates in order: onward from the last one above the low band, then the low band."""

    def __init__(self, first: int, last: int, *, divisor: int) -> None:
        band = min(max(16, (last - first + 1) // divisor), 256 if divisor == 16 else 128)  # noqa: PLR2004
        self._low = range(first, min(first + band, last + 1))
        self._high = range(self._low[-1] + 1, last + 1)
        self._next = 0

    def __iter__(self) -> Iterator[int]:
        start = self._next
        for number in chain(self._high[start:], self._high[:start], self._low):
            self._next = (number - self._high[0] + 1) if number in self._high else 0
            yield number
