"""What stands after changes, without asking again. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.interface import (
    AddAddress,
    AddRoute,
    Interface,
    InterfaceChange,
    RemoveAddress,
    RemoveRoute,
    SetMtu,
    SetUp,
)


def fold_device(device: Device, changes: Iterable[DeviceChange]) -> Device:
    """Return a device after changes that all went well."""
    peers = dict(device.peers)
    for change in changes:
        if isinstance(change, RemovePeer):
            peers.pop(change.public_key, None)
            continue
        standing = peers.get(change.public_key)
        if standing is None and not change.new:
            continue
        _take_away(peers, change)
        peers[change.public_key] = _changed(
            standing or DevicePeer(public_key=change.public_key), change
        )
    return msgspec.structs.replace(device, peers=peers)


def _take_away(peers: dict[str, DevicePeer], change: SetPeer) -> None:
    """Take from others what a peer is given: a range is at one peer only."""
    given = frozenset(change.add)
    for key, peer in peers.items():
        if key != change.public_key and not given.isdisjoint(peer.allowed_ips):
            peers[key] = msgspec.structs.replace(peer, allowed_ips=peer.allowed_ips - given)


def _changed(peer: DevicePeer, change: SetPeer) -> DevicePeer:
    keepalive = change.persistent_keepalive
    return msgspec.structs.replace(
        peer,
        endpoint=change.endpoint or peer.endpoint,
        persistent_keepalive=peer.persistent_keepalive if keepalive is None else keepalive,
        allowed_ips=(peer.allowed_ips - set(change.remove)) | set(change.add),
    )


def fold_interface(interface: Interface, changes: Iterable[InterfaceChange]) -> Interface:
    """Return an interface after changes that all went well."""
    mtu, up = interface.mtu, interface.up
    addresses = set(interface.addresses)
    routes = {route.destination: route for route in interface.routes}
    for change in changes:
        match change:
            case SetMtu():
                mtu = change.mtu
            case SetUp():
                up = True
            case AddAddress():
                addresses.add(change.address)
            case RemoveAddress():
                addresses.discard(change.address)
            case AddRoute():
                routes[change.route.destination] = change.route
            case RemoveRoute():
                routes.pop(change.route.destination, None)
    return msgspec.structs.replace(
        interface,
        mtu=mtu,
        up=up,
        addresses=frozenset(addresses),
        routes=frozenset(routes.values()),
    )
