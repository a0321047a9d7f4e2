"""Taking single ranges from peers where the implementation has no word for that. Pure.

Linux before 6.16 and wireguard-go before May 2025 can only replace a peer's whole list, which
drops packets while it is empty. But they move a range to the peer that claims it last, and a peer
that is removed takes its ranges along: so a peer that exists for this alone takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from heliograph.wireguard.device import Device, DeviceChange, RemovePeer, SetPeer


def removes_ranges(changes: Sequence[DeviceChange]) -> bool:
    """Tell whether a change takes a single range from a peer."""
    return any(isinstance(change, SetPeer) and change.remove for change in changes)


def by_carrier(
    changes: Sequence[DeviceChange], standing: Device, carrier: str
) -> tuple[DeviceChange, ...]:
    """Return changes to the same effect that remove ranges with a whole peer only.

    Args:
        changes: What should happen, in its order.
        standing: What stands before. A range is taken from a peer only while that one has it:
            the carrier would take it from any other as well.
        carrier: Public key of nobody, base64 of 32 random bytes.
    """
    holders = {cidr: key for key, peer in standing.peers.items() for cidr in peer.allowed_ips}
    there = set(standing.peers)
    carried: list[DeviceChange] = []
    for change in changes:
        if isinstance(change, SetPeer) and change.new:
            there.add(change.public_key)
        if change.public_key in there:  # else nothing comes of it, and it gets no ranges
            carried += _carried(change, holders, carrier)
        if isinstance(change, RemovePeer):
            there.discard(change.public_key)
    if any(change.public_key == carrier for change in carried):
        carried.append(RemovePeer(public_key=carrier))
    return tuple(carried)


def _carried(change: DeviceChange, holders: dict[str, str], carrier: str) -> list[DeviceChange]:
    """Return one change without removals, and keep the book of who has which range."""
    key = change.public_key
    if isinstance(change, RemovePeer):
        for cidr in [cidr for cidr, holder in holders.items() if holder == key]:
            del holders[cidr]
        return [change]
    holders.update(dict.fromkeys(change.add, key))
    gone = _held(change.remove, holders, key)
    kept: DeviceChange = msgspec.structs.replace(change, remove=())
    if not gone:
        return [kept]
    holders.update(dict.fromkeys(gone, carrier))
    return [kept, SetPeer(public_key=carrier, new=True, add=gone)]


def _held(ranges: Sequence[str], holders: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(cidr for cidr in ranges if holders.get(cidr) == key)
