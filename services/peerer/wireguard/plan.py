"""From what should be and what stands to the changes that the kernel takes. Pure.

Add before delete; ranges move from peer to peer in one step, so no packet finds nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer, SetPeer
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


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What one peer should be.

    Attributes:
        ranges: Its allowed IPs; no two targets have one in common.
        endpoint: "address:port" to send to; None if it is not known.
        moved: Whether the endpoint is set although the peer has one: it changed, or the peer does
            not answer where it is. Otherwise the kernel knows better, since peers roam.
        persistent_keepalive: Seconds.
    """

    ranges: frozenset[str] = frozenset()
    endpoint: str | None = None
    moved: bool = False
    persistent_keepalive: int = 0


def plan_device(
    targets: Mapping[str, Target], device: Device, *, certain: bool
) -> tuple[DeviceChange, ...]:
    """Return the changes that make the peers of the device what they should be.

    Args:
        targets: By public key.
        device: What stands.
        certain: Whether everything is known that there should be. While it is not, a peer that
            nothing is known of stays: a restart forgets nobody.

    Returns:
        What is given to peers first, then what is taken from them, then the peers that go.
    """
    wanted = {cidr for target in targets.values() for cidr in target.ranges}
    gives: list[DeviceChange] = []
    takes: list[DeviceChange] = []
    for key, target in targets.items():
        standing = device.peers.get(key)
        if (given := _given(key, target, standing)) is not None:
            gives.append(given)
        surplus = standing.allowed_ips - target.ranges - wanted if standing else ()
        if surplus:
            takes.append(SetPeer(public_key=key, remove=_in_order(surplus)))
    gone = sorted(device.peers.keys() - targets.keys()) if certain else ()
    return (*gives, *takes, *(RemovePeer(public_key=key) for key in gone))


def _given(key: str, target: Target, standing: DevicePeer | None) -> SetPeer | None:
    """Return what a peer is to be given; None if it has it all."""
    if standing is None:
        return SetPeer(
            public_key=key,
            new=True,
            endpoint=target.endpoint,
            persistent_keepalive=target.persistent_keepalive,
            add=_in_order(target.ranges),
        )
    endpoint, missing = _new_endpoint(target, standing), target.ranges - standing.allowed_ips
    keepalive = _other(target.persistent_keepalive, standing.persistent_keepalive)
    if endpoint is None and keepalive is None and not missing:
        return None
    return SetPeer(
        public_key=key, endpoint=endpoint, persistent_keepalive=keepalive, add=_in_order(missing)
    )


def _new_endpoint(target: Target, standing: DevicePeer) -> str | None:
    due = target.moved or standing.endpoint is None
    return target.endpoint if due and target.endpoint != standing.endpoint else None


def _other(wanted: int, standing: int) -> int | None:
    return None if wanted == standing else wanted


def plan_interface(wanted: Interface, standing: Interface) -> tuple[InterfaceChange, ...]:
    """Return the changes that make the interface what it should be; nothing sets it down."""
    changes: list[InterfaceChange] = []
    if wanted.mtu != standing.mtu:
        changes.append(SetMtu(wanted.mtu))
    changes += [AddAddress(one) for one in _in_order(wanted.addresses - standing.addresses)]
    if not standing.up:
        changes.append(SetUp())
    if wanted.routes != standing.routes:
        changes += _route_changes(wanted.routes, standing.routes)
    changes += [RemoveAddress(one) for one in _in_order(standing.addresses - wanted.addresses)]
    return tuple(changes)


def _route_changes(
    wanted: frozenset[Route], standing: frozenset[Route]
) -> Iterator[InterfaceChange]:
    renewed = {route.destination for route in wanted}
    yield from (AddRoute(one) for one in _routes(wanted - standing))
    gone = (one for one in standing - wanted if one.destination not in renewed)
    yield from (RemoveRoute(one) for one in _routes(gone))


def routes_of(ranges: Iterable[str], addresses: Iterable[str]) -> frozenset[Route]:
    """Return a route for each range, with our own address of its family as source."""
    return _routes_of(frozenset(ranges), frozenset(addresses))


@functools.lru_cache(maxsize=4)
def _routes_of(ranges: frozenset[str], addresses: frozenset[str]) -> frozenset[Route]:
    own = {":" in one: one.partition("/")[0] for one in addresses}
    return frozenset(Route(destination=cidr, source=own.get(":" in cidr)) for cidr in ranges)


def _in_order(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(texts))


def _routes(routes: Iterable[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: route.destination)
