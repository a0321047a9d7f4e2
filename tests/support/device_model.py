"""A model of the kernel's WireGuard device and of its interface, step by step, for property tests.

It is written from the manual pages, not from our own folding, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer
from heliograph.wireguard.interface import (
    AddAddress,
    AddRoute,
    Interface,
    InterfaceChange,
    RemoveAddress,
    RemoveRoute,
    Route,
    SetMtu,
    SetUp,
)


def _nothing() -> None:
    """See nothing."""


class DeviceModel:
    """Peers, and who holds each range: cryptokey routing, wg(8).

    Attributes:
        holders: The key of the peer that has a range, by range.
        written: The keys that a change named, in their order.
    """

    def __init__(self, device: Device | None = None) -> None:
        self._peers: dict[str, DevicePeer] = {}
        self.holders: dict[str, str] = {}
        self.written: list[str] = []
        for key, peer in (device or Device()).peers.items():
            self._peers[key] = peer
            self.holders.update(dict.fromkeys(peer.allowed_ips, key))

    def apply(self, changes: Iterable[DeviceChange], seen: Callable[[], None] = _nothing) -> None:
        """Carry changes out, range by range; `seen` is called after each smallest step."""
        for change in changes:
            self.written.append(change.public_key)
            for step in self._steps(change):
                step()
                seen()

    def device(self) -> Device:
        """Return what stands."""
        held = {key: set[str]() for key in self._peers}
        for cidr, key in self.holders.items():
            held[key].add(cidr)
        return Device(
            peers={
                key: _but(peer, allowed_ips=frozenset(held[key]))
                for key, peer in self._peers.items()
            }
        )

    def receive(self, key: str, count: int = 100, *, handshake_s: float = 1.0) -> None:
        """Let a peer send something to us, after a handshake."""
        peer = self._peers[key]
        self._peers[key] = _but(peer, rx_bytes=peer.rx_bytes + count, last_handshake_s=handshake_s)

    def roam(self, key: str, endpoint: str) -> None:
        """Let a peer be heard from elsewhere."""
        self._peers[key] = _but(self._peers[key], endpoint=endpoint)

    def _steps(self, change: DeviceChange) -> Iterable[Callable[[], None]]:
        key = change.public_key
        if isinstance(change, RemovePeer):
            yield lambda: self._remove(key)
            return
        if key not in self._peers:
            if not change.new:
                return
            self._peers[key] = DevicePeer(public_key=key)
        if change.endpoint is not None:
            self._peers[key] = _but(self._peers[key], endpoint=change.endpoint)
        if change.persistent_keepalive is not None:
            self._peers[key] = _but(
                self._peers[key], persistent_keepalive=change.persistent_keepalive
            )
        for cidr in change.add:
            yield lambda cidr=cidr: self.holders.update({cidr: key})  # type: ignore[misc]
        for cidr in change.remove:
            yield lambda cidr=cidr: self._take(cidr, key)  # type: ignore[misc]

    def _take(self, cidr: str, key: str) -> None:
        if self.holders.get(cidr) == key:
            del self.holders[cidr]

    def _remove(self, key: str) -> None:
        self._peers.pop(key, None)
        self.holders = {cidr: holder for cidr, holder in self.holders.items() if holder != key}


class Refused(Exception):
    """The kernel would not do this."""


class InterfaceModel:
    """An interface, its addresses and routes: ip-address(8), ip-route(8)."""

    def __init__(self, interface: Interface) -> None:
        self._mtu, self._up = interface.mtu, interface.up
        self._addresses = set(interface.addresses)
        self.routes = {route.destination: route.source for route in interface.routes}

    def apply(
        self, changes: Iterable[InterfaceChange], seen: Callable[[], None] = _nothing
    ) -> None:
        """Carry changes out; `seen` is called after each.

        Raises:
            Refused: One that the kernel does not take.
        """
        for change in changes:
            self._change(change)
            seen()

    def interface(self) -> Interface:
        """Return what stands."""
        return Interface(
            mtu=self._mtu,
            up=self._up,
            addresses=frozenset(self._addresses),
            routes=frozenset(Route(destination=d, source=s) for d, s in self.routes.items()),
        )

    def _change(self, change: InterfaceChange) -> None:
        match change:
            case SetMtu(mtu=mtu):
                self._mtu = mtu
            case SetUp():
                self._up = True
            case AddAddress(address=address):
                self._addresses.add(address)
            case RemoveAddress(address=address):
                self._remove_address(address)
            case AddRoute(route=route):
                self._add_route(route)
            case RemoveRoute(route=route):
                self.routes.pop(route.destination, None)

    def _add_route(self, route: Route) -> None:
        if not self._up:
            raise Refused("ENETDOWN: no routes through an interface that is down")
        if route.source and route.source not in self._sources():
            raise Refused(f"EINVAL: {route.source} is no address of this machine")
        self.routes[route.destination] = route.source

    def _remove_address(self, address: str) -> None:
        self._addresses.discard(address)
        left = self._sources()  # the kernel takes routes along whose source is gone
        self.routes = {d: s for d, s in self.routes.items() if s is None or s in left}

    def _sources(self) -> set[str]:
        return {address.partition("/")[0] for address in self._addresses}


def _but(peer: DevicePeer, **changes: object) -> DevicePeer:
    fields = {name: getattr(peer, name) for name in peer.__struct_fields__}
    return DevicePeer(**(fields | changes))
