"""The network interface of a WireGuard device: what stands, and the changes that it takes. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final, Protocol

import msgspec

ROUTE_PROTOCOL: Final = 72
"""Marks our routes (`ip route show proto 72`): no number that /etc/iproute2/rt_protos names."""


class Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A route through the interface, in the main table.

    Attributes:
        destination: Canonical range.
        source: Address that this machine's own packets get; None for whatever the kernel picks.
    """

    destination: str
    source: str | None = None


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """The interface as it stands.

    Attributes:
        mtu: Bytes of the largest packet.
        up: Whether it is set up.
        addresses: With their masks, such as "100.64.7.9/32"; link-local ones are left out.
        routes: Those through it that carry our protocol number.
        ipv6: Whether IPv6 goes through it at all; the kernel takes no routes of it otherwise.
    """

    mtu: int
    up: bool
    addresses: frozenset[str] = frozenset()
    routes: frozenset[Route] = frozenset()
    ipv6: bool = True


class SetMtu(msgspec.Struct, frozen=True):
    """Change the MTU."""

    mtu: int


class SetUp(msgspec.Struct, frozen=True):
    """Set the interface up."""


class AddAddress(msgspec.Struct, frozen=True):
    """Give the interface an address, such as "100.64.7.9/32"."""

    address: str


class RemoveAddress(msgspec.Struct, frozen=True):
    """Take an address from the interface."""

    address: str


class AddRoute(msgspec.Struct, frozen=True):
    """Add a route, or change the source of the one that we have to its destination."""

    route: Route


class RemoveRoute(msgspec.Struct, frozen=True):
    """Remove a route of ours."""

    route: Route


InterfaceChange = SetMtu | SetUp | AddAddress | RemoveAddress | AddRoute | RemoveRoute


class InterfaceBackend(Protocol):
    """The network interface that an agent owns.

    Every method raises a `heliograph.wireguard.errors.TunnelError` where it fails.
    """

    async def read(self) -> Interface | None:
        """Return what stands; None if there is no such interface."""
        ...

    async def apply(self, changes: Sequence[InterfaceChange]) -> None:
        """Carry changes out, in their order; what they do not name is not touched.

        Something that is there already, or gone already, is no error. A route to the same
        destination that is not ours is never replaced: it raises, and names it.
        """
        ...

    async def underlay_mtu(self, addresses: Iterable[str]) -> int | None:
        """Return the smallest MTU on the ways to addresses of other nodes, or of the default way.

        None if there is no way at all. The interface itself is no underlay.
        """
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yield whenever links, addresses or routes of this machine may have changed."""
        ...
