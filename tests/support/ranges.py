"""Ranges for tests: few addresses, so that they often overlap, in both families."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from hypothesis import strategies as st


def _v4(number: int, length: int) -> str:
    return str(ipaddress.ip_network(((10 << 24) + number, length), strict=False))


def _v6(number: int, length: int) -> str:
    return str(ipaddress.ip_network(((0xFD << 120) + number, length), strict=False))


CIDRS = st.one_of(
    st.builds(_v4, st.integers(0, 63), st.integers(26, 32)),
    st.builds(_v6, st.integers(0, 63), st.integers(122, 128)),
    st.sampled_from(["0.0.0.0/0", "::/0", "10.0.0.0/8", "255.255.255.255/32", "::/128"]),
)
"""Canonical ranges."""


def networks(
    cidrs: Iterable[str],
) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the ranges as the standard library has them."""
    return [ipaddress.ip_network(cidr) for cidr in cidrs]


def overlap(cidrs: Iterable[str], others: Iterable[str]) -> bool:
    """Tell whether any two ranges have an address in common, by comparing all of them."""
    return any(
        a.version == b.version and a.overlaps(b) for a in networks(cidrs) for b in networks(others)
    )
