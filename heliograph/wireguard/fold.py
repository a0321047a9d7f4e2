"""What stands after changes, without asking again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    holders = {cidr: key for key, peer in peers.items() for cidr in peer.allowed_ips}
    for change in changes:
        key = change.public_key
        if isinstance(change, RemovePeer):
            gone = peers.pop(key, None)
            _forget(holders, key, gone.allowed_ips if gone else ())
            continue
        standing = peers.get(key)
        if standing is None and not change.new:
            continue
        _take_away(peers, holders, change)
        peers[key] = _changed(standing or DevicePeer(public_key=key), change)
        holders.update(dict.fromkeys(change.add, key))
        _forget(holders, key, change.remove)
    return msgspec.structs.replace(device, peers=peers)


def _take_away(peers: dict[str, DevicePeer], holders: Mapping[str, str], change: SetPeer) -> None:
    """Take from others what a peer is given: a range is at one peer only."""
    given = frozenset(change.add)
    for key in {holders[cidr] for cidr in given if cidr in holders} - {change.public_key}:
        peer = peers[key]
        peers[key] = msgspec.structs.replace(peer, allowed_ips=peer.allowed_ips - given)


def _forget(holders: dict[str, str], key: str, cidrs: Iterable[str]) -> None:
    """Take that a peer has ranges no more; somebody else may have them by now."""
    for cidr in cidrs:
        if holders.get(cidr) == key:
            del holders[cidr]


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
