"""The network interface of a tunnel: its link, addresses and routes, by rtnetlink.

Links and addresses are few, and pyroute2 writes and reads their messages; routes are packed by
`heliograph.wireguard.routes`.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Final, assert_never

import msgspec
from typing_extensions import override

from heliograph.wireguard import codec, routes
from heliograph.wireguard.codec import Link
from heliograph.wireguard.endpoints import IPAddress
from heliograph.wireguard.errors import NoWireGuard, TunnelBusy, TunnelError, from_errno
from heliograph.wireguard.interface import (
    AddAddress,
    AddRoute,
    Interface,
    InterfaceBackend,
    InterfaceChange,
    RemoveAddress,
    RemoveRoute,
    Route,
    SetMtu,
    SetUp,
)
from heliograph.wireguard.netlink import Netlink
from heliograph.wireguard.nlmsg import Refusal, Request
from heliograph.wireguard.routes import Way

KERNEL_KIND: Final = "wireguard"
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_IPV6: Final = Path("/proc/sys/net/ipv6/conf")
_GROUPS: Final = (1, 5, 7, 9, 11)
"""RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE."""

_NO_SUCH_TABLE: Final = {errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT}
_GONE_ALREADY: Final = {errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENOENT}
_NO_WAY: Final = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EACCES,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.EAFNOSUPPORT,
}
"""What a lookup says where packets cannot go: unreachable, blackhole and prohibit routes too."""


class LinkInterface(InterfaceBackend):
    """An interface of any kind, in the network namespace of whoever uses it first."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._socket: Netlink | None = None

    @property
    def _netlink(self) -> Netlink:
        if self._socket is None:
            self._socket = Netlink(socket.NETLINK_ROUTE)
        return self._socket

    def close(self) -> None:
        """Close the socket; the interface stays as it is."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def create_kernel_link(self) -> None:
        """Make the interface as one of the kernel's WireGuard, unless it stands.

        Raises:
            NoWireGuard: The kernel has none.
            TunnelError: Another interface has this name.
        """
        request = codec.create_link(self.name, KERNEL_KIND)
        refused = await self._netlink.send([request])
        if refused and refused[0].error != errno.EEXIST:
            raise self._not_created(refused[0])
        link = await self._link()
        if link is not None and link.kind != KERNEL_KIND:
            raise TunnelError(
                f"{self.name} stands on this machine already, and is no WireGuard interface "
                f"({link.kind or 'no virtual one'}); left as it is. Remove it, or choose another "
                "name."
            )

    def _not_created(self, refused: Refusal) -> TunnelError:
        if refused.error == errno.EOPNOTSUPP:
            return NoWireGuard(
                "this machine's kernel has no WireGuard: load its module (modprobe wireguard), "
                "or install wireguard-go"
            )
        return from_errno(refused.error, f"making interface {self.name}")

    async def remove(self) -> None:
        """Remove the interface, and with it its addresses and routes, if it stands."""
        refused = await self._netlink.send([codec.remove_link(self.name)])
        if refused and refused[0].error != errno.ENODEV:
            raise from_errno(refused[0].error, f"removing interface {self.name}")

    @override
    async def read(self) -> Interface | None:
        link = await self._link()
        if link is None:
            return None
        try:
            addresses = await self._addresses(link.index)
            ours = [way for family in _FAMILIES for way in await self._ours(family, link.index)]
        except OSError as exc:
            if exc.errno == errno.ENODEV:
                return None
            raise from_errno(exc.errno or errno.EIO, f"reading interface {self.name}") from exc
        return Interface(
            mtu=link.mtu,
            up=link.up,
            addresses=frozenset(addresses),
            routes=frozenset(Route(destination=w.destination, source=w.source) for w in ours),
            ipv6=_has_ipv6(self.name),
        )

    async def _link(self) -> Link | None:
        try:
            return codec.parse_link(await self._netlink.ask(codec.get_link(self.name)))
        except OSError as exc:
            if exc.errno == errno.ENODEV:
                return None
            raise from_errno(exc.errno or errno.EIO, f"reading interface {self.name}") from exc

    async def _addresses(self, index: int) -> list[str]:
        found = await self._netlink.dump(codec.dump_addresses(index))
        parsed = filter(None, map(codec.parse_address, found))
        return [
            address
            for holder, address in parsed
            if holder == index and not ipaddress.ip_interface(address).is_link_local
        ]

    async def _ours(self, family: int, index: int) -> list[Way]:
        ways = await self._ways(routes.dump_ours(family, index))
        return [way for way in ways if way.ours and way.interface == index]

    async def _ways(self, request: Request) -> list[Way]:
        try:
            found = await self._netlink.dump(request)
        except OSError as exc:
            if exc.errno in _NO_SUCH_TABLE:  # or no IPv6 at all
                return []
            raise
        ways = (routes.parse(message) for message in found if message.kind == routes.NEW_ROUTE)
        return [way for way in ways if routes.in_main(way)]

    @override
    async def apply(self, changes: Sequence[InterfaceChange]) -> None:
        if not changes:
            return
        link = await self._link()
        if link is None:
            raise TunnelBusy(f"there is no interface {self.name} on this machine")
        requests = [_request(change, link.index) for change in changes]
        refused = [
            refusal
            for refusal in await self._netlink.send(requests)
            if not _is_so_already(changes[refusal.index], refusal.error)
        ]
        refused = await self._replace_ours(changes, refused, link.index)
        if refused:
            raise self._failed(changes, refused)

    async def _replace_ours(
        self, changes: Sequence[InterfaceChange], refused: list[Refusal], index: int
    ) -> list[Refusal]:
        """Change the routes of ours that stand in the way of themselves; return what remains."""
        in_way = [r for r in refused if r.error == errno.EEXIST]
        if not in_way:
            return refused
        standing = await self._standing()
        again: list[tuple[Refusal, Request]] = []
        left = [r for r in refused if r.error != errno.EEXIST]
        for refusal in in_way:
            change = changes[refusal.index]
            assert isinstance(change, AddRoute)  # noqa: S101 - nothing else is refused so
            found = standing.get(change.route.destination, [])
            foreign = [way for way in found if not way.ours or way.interface != index]
            if foreign:
                text = _describe(foreign[0], await self._name_of(foreign[0].interface))
                left.append(msgspec.structs.replace(refusal, text=text))
            elif not found or found[0].source != change.route.source:
                request = routes.add(change.route, index, replace=bool(found))
                again.append((refusal, request))
        left += [
            msgspec.structs.replace(refusal, index=again[refusal.index][0].index)
            for refusal in await self._netlink.send([request for _, request in again])
        ]
        return sorted(left, key=lambda refusal: refusal.index)

    async def _standing(self) -> dict[str, list[Way]]:
        """Return the routes of the main table that have the metric of ours, by destination."""
        standing: dict[str, list[Way]] = {}
        for family in _FAMILIES:
            for way in await self._ways(routes.dump_main(family)):
                if way.default_metric:
                    standing.setdefault(way.destination, []).append(way)
        return standing

    async def _name_of(self, index: int) -> str:
        try:
            answer = await self._netlink.ask(codec.get_link_by_index(index))
        except OSError:
            return "no interface"
        return codec.parse_link(answer).name

    def _failed(self, changes: Sequence[InterfaceChange], refused: list[Refusal]) -> TunnelError:
        first = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        doing = f"{_describe_change(changes[first.index])} on interface {self.name}{more}"
        if first.error == errno.EEXIST:
            return TunnelError(
                f"{doing}: {first.text} stands there, which is not ours; left as it is, so nothing "
                "goes through the tunnel to there. Remove that route, or change one of the ranges."
            )
        return from_errno(first.error, doing + (f" ({first.text})" if first.text else ""))

    @override
    async def underlay_mtu(self, addresses: Iterable[str]) -> int | None:
        own = await self._link()
        index = own.index if own else 0
        ways = [
            way
            for address in sorted(set(addresses))
            if (way := await self._way_to(ipaddress.ip_address(address))) is not None
        ]
        used = [way for way in ways if way.unicast and way.interface not in {0, index}]
        return await self._smallest_mtu(used or await self._default_ways(index))

    async def _way_to(self, address: IPAddress) -> Way | None:
        try:
            return routes.parse(await self._netlink.ask(routes.way_to(address)))
        except OSError as exc:
            if exc.errno in _NO_WAY:
                return None
            raise from_errno(exc.errno or errno.EIO, f"looking for the way to {address}") from exc

    async def _default_ways(self, own: int) -> list[Way]:
        """Return the default route of each family that packets take."""
        found = []
        for family in _FAMILIES:
            ways = await self._ways(routes.dump_main(family))
            usable = [w for w in ways if w.is_default and w.unicast and w.interface not in {0, own}]
            found += sorted(usable, key=lambda way: way.metric)[:1]
        return found

    async def _smallest_mtu(self, ways: Iterable[Way]) -> int | None:
        mtus: dict[int, int] = {}
        smallest: int | None = None
        for way in ways:
            if way.interface not in mtus:
                answer = await self._netlink.ask(codec.get_link_by_index(way.interface))
                mtus[way.interface] = codec.parse_link(answer).mtu
            mtu = way.mtu or mtus[way.interface]
            smallest = mtu if smallest is None else min(smallest, mtu)
        return smallest

    @override
    async def changes(self) -> AsyncIterator[None]:
        netlink = Netlink(socket.NETLINK_ROUTE, _GROUPS)
        try:
            yield  # whatever changed before we listened
            while True:
                await netlink.heard()
                yield
        finally:
            netlink.close()


def _has_ipv6(name: str) -> bool:
    """Tell whether an interface may have IPv6: ip-sysctl.rst in the kernel, `disable_ipv6`."""
    try:
        return (_IPV6 / name / "disable_ipv6").read_text(encoding="ascii").strip() == "0"
    except OSError:  # the kernel has none, or the MTU is too small for it
        return False


def _request(change: InterfaceChange, index: int) -> Request:
    match change:
        case SetMtu(mtu):
            return codec.set_mtu(index, mtu)
        case SetUp():
            return codec.set_up(index)
        case AddAddress(address):
            return codec.add_address(address, index)
        case RemoveAddress(address):
            return codec.remove_address(address, index)
        case AddRoute(route):
            return routes.add(route, index)
        case RemoveRoute(route):
            return routes.delete(route, index)
        case _:
            assert_never(change)


def _is_so_already(change: InterfaceChange, error: int) -> bool:
    """Tell whether what was refused is as it should be."""
    if isinstance(change, AddAddress):
        return error == errno.EEXIST
    return isinstance(change, RemoveAddress | RemoveRoute) and error in _GONE_ALREADY


def _describe_change(change: InterfaceChange) -> str:
    match change:
        case SetMtu(mtu):
            return f"setting the MTU to {mtu}"
        case SetUp():
            return "setting it up"
        case AddAddress(address):
            return f"adding address {address}"
        case RemoveAddress(address):
            return f"removing address {address}"
        case AddRoute(route):
            return f"adding the route to {route.destination}"
        case RemoveRoute(route):
            return f"removing the route to {route.destination}"
        case _:
            assert_never(change)


def _describe(way: Way, interface: str) -> str:
    return f"a route by {interface} (protocol {way.protocol}, metric {way.metric})"
