"""Which addresses an importing cluster takes from others at all. Pure.

A stolen or hostile cluster may say anything about itself; it must not become able to draw traffic
to addresses that are not its own.
"""

from __future__ import annotations

from typing import Final

from heliograph.admission.declaration import Declaration
from heliograph.admission.spans import (
    IPV6,
    contains,
    holds,
    span_of_text,
    spans_of,
    touches,
)
from heliograph.ranges import IPV4_BYTES, pack_address

PRIVATE_RANGES: Final = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
    "100.64.0.0/10",  # RFC 6598
    "fc00::/7",  # RFC 4193
)

SPECIAL_RANGES: Final = (
    *("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
    *("::/128", "::1/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8"),
)
"""Unspecified, loopback, link-local, multicast, broadcast (RFC 6890, RFC 4291), and IPv4 addresses
in disguise (mapped into IPv6): never admitted."""

_SPECIAL: Final = spans_of(SPECIAL_RANGES)


def is_special(address: str) -> bool:
    """Tell whether an address, or any of a range, is one of `SPECIAL_RANGES`.

    Raises:
        ValueError: It is none.
    """
    return touches(_SPECIAL, span_of_text(address))


class RangePolicy:
    """The admitted ranges of one importing cluster."""

    def __init__(self, admitted: tuple[str, ...]) -> None:
        """Prepare; a range that cannot be read admits nothing."""
        self._admitted = spans_of(admitted)

    def admits_address(self, address: str, declared: tuple[str, ...]) -> bool:
        """Tell whether the address lies in a range that its cluster declared and we admit."""
        raw = pack_address(address)
        if raw is None:
            return False
        number = int.from_bytes(raw) + (0 if len(raw) == IPV4_BYTES else IPV6)
        return (
            holds(spans_of(declared), number)
            and holds(self._admitted, number)
            and not holds(_SPECIAL, number)
        )

    def admits_range(self, cidr: str) -> bool:
        """Tell whether we admit every address of a range; so never a default route."""
        try:
            span = span_of_text(cidr)
        except ValueError:
            return False
        return contains(self._admitted, span) and not touches(_SPECIAL, span)

    def limit(self, declaration: Declaration) -> Declaration:
        """Return the ranges of a declaration that we admit: what is never routed is nobody's.

        Otherwise a cluster could declare all of IPv6, and keep everybody else from having any.
        """
        return Declaration(
            cluster=declaration.cluster,
            service_cidrs=tuple(filter(self.admits_range, declaration.service_cidrs)),
            pod_cidrs=tuple(filter(self.admits_range, declaration.pod_cidrs)),
            tunnel_cidrs=tuple(filter(self.admits_range, declaration.tunnel_cidrs)),
        )
