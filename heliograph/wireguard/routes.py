"""Routing messages as bytes: routes by the thousand, and the way to an address. Pure.

Source: rtnetlink(7), include/uapi/linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

import msgspec

from heliograph.ranges import IPV4_BYTES, pack_address
from heliograph.wireguard.endpoints import IPAddress, format_address, pack_range
from heliograph.wireguard.errors import TunnelError
from heliograph.wireguard.interface import ROUTE_PROTOCOL, Route
from heliograph.wireguard.nlmsg import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    Message,
    Request,
    attribute,
    attributes,
)

NEW_ROUTE, DELETE_ROUTE, GET_ROUTE = 24, 25, 26

_DST, _OIF, _PRIORITY, _PREFSRC, _METRICS, _TABLE = 1, 4, 6, 7, 8, 15
_METRIC_MTU: Final = 2
_MAIN: Final = 254
_UNIVERSE, _LINK, _NOWHERE = 0, 253, 255
_UNICAST: Final = 1
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_EMPTY: Final = {socket.AF_INET: bytes(4), socket.AF_INET6: bytes(16)}
_DEFAULT_METRICS: Final = {socket.AF_INET: 0, socket.AF_INET6: 1024}
_HEADER: Final = struct.Struct("=BBBBBBBBI")
_NUMBER: Final = struct.Struct("=I")
_TARGET4: Final = struct.Struct("=HH4sHHI")
_TARGET6: Final = struct.Struct("=HH16sHHI")
"""Destination and interface at once."""


class Way(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A route as it stands.

    Attributes:
        destination: Canonical range.
        source: Address that this machine's own packets get; None if it says none.
        protocol: Who made it.
        table: Number of its table.
        unicast: Whether packets are sent on by it, not kept or refused.
        interface: Index of the interface; 0 if it has several, or none.
        metric: Smaller ones go first.
        mtu: Its own; None if it has none.
    """

    destination: str
    source: str | None
    protocol: int
    table: int
    unicast: bool
    interface: int
    metric: int
    mtu: int | None

    @property
    def ours(self) -> bool:
        """Whether it carries our protocol number."""
        return self.protocol == ROUTE_PROTOCOL

    @property
    def default_metric(self) -> bool:
        """Whether it has the metric that ours have."""
        family = socket.AF_INET6 if ":" in self.destination else socket.AF_INET
        return self.metric == _DEFAULT_METRICS[family]

    @property
    def is_default(self) -> bool:
        """Whether it leads everywhere."""
        return self.destination.endswith("/0")


def add(route: Route, interface: int, *, replace: bool = False) -> Request:
    """Return a request for a route of ours; unless it may replace, another one is in its way."""
    flags = CREATE | (REPLACE if replace else EXCLUSIVE)
    family, bits, attrs = _target(route, interface)
    scope = _LINK if family == socket.AF_INET else _UNIVERSE
    header = _HEADER.pack(family, bits, 0, 0, _MAIN, ROUTE_PROTOCOL, scope, _UNICAST, 0)
    if route.source is not None:
        attrs += attribute(_PREFSRC, _pack_source(route.source))
    return Request(NEW_ROUTE, flags, header + attrs)


def delete(route: Route, interface: int) -> Request:
    """Return a request that takes a route of ours away, whatever its source."""
    family, bits, attrs = _target(route, interface)
    header = _HEADER.pack(family, bits, 0, 0, _MAIN, ROUTE_PROTOCOL, _NOWHERE, _UNICAST, 0)
    return Request(DELETE_ROUTE, 0, header + attrs)


def _target(route: Route, interface: int) -> tuple[int, int, bytes]:
    raw, bits = pack_range(route.destination)
    if len(raw) == IPV4_BYTES:
        return socket.AF_INET, bits, _TARGET4.pack(8, _DST, raw, 8, _OIF, interface)
    return socket.AF_INET6, bits, _TARGET6.pack(20, _DST, raw, 8, _OIF, interface)


def _pack_source(text: str) -> bytes:
    raw = pack_address(text)
    if raw is None:
        raise TunnelError(f"{text!r} is no address that a route could have as its source")
    return raw


def dump_ours(family: int, interface: int) -> Request:
    """Return a request for our routes of a family through an interface."""
    header = _HEADER.pack(family, 0, 0, 0, _MAIN, ROUTE_PROTOCOL, 0, 0, 0)
    return Request(GET_ROUTE, 0, header + attribute(_OIF, _NUMBER.pack(interface)))


def dump_main(family: int) -> Request:
    """Return a request for all routes of a family in the main table."""
    return Request(GET_ROUTE, 0, _HEADER.pack(family, 0, 0, 0, _MAIN, 0, 0, 0, 0))


def way_to(address: IPAddress) -> Request:
    """Return a request for the route that packets to an address take."""
    family = _FAMILIES[address.version]
    header = _HEADER.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return Request(GET_ROUTE, 0, header + attribute(_DST, address.packed))


def parse(message: Message) -> Way:
    """Return the route in an answer."""
    body = message.body
    family, bits, _, _, table, protocol, _, kind, _ = _HEADER.unpack_from(body)
    facts = dict(attributes(body, _HEADER.size))
    source = facts.get(_PREFSRC)
    metrics = dict(attributes(facts.get(_METRICS, b"")))
    return Way(
        destination=f"{format_address(facts.get(_DST) or _EMPTY[family])}/{bits}",
        source=None if source is None else format_address(source),
        protocol=protocol,
        table=_number(facts.get(_TABLE)) or table,
        unicast=kind == _UNICAST,
        interface=_number(facts.get(_OIF)) or 0,
        metric=_number(facts.get(_PRIORITY)) or 0,
        mtu=_number(metrics.get(_METRIC_MTU)),
    )


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else int(_NUMBER.unpack(raw)[0])


def in_main(way: Way) -> bool:
    """Tell whether a route is in the main table: kernels before 4.20 do not filter dumps."""
    return way.table == _MAIN
