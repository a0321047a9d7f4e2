"""Which of two keys of a node was used later, whatever the wall clock does. Pure.

The kernel says when it shook hands by the wall clock, and that may be set back. So what counts is
when the value was seen to change, and the value itself only among those seen at the same look.
"""

from __future__ import annotations

from heliograph.wireguard.device import Device
from services.peerer.wireguard.desired import DesiredPeer


class Handshakes:
    """The latest handshake of each peer of one device, in the order in which they were seen."""

    def __init__(self) -> None:
        self._looks = 0
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self, device: Device) -> None:
        """Take what stands."""
        self._seen = {key: self.rank(key, device) for key in device.peers}
        self._looks += 1

    def rank(self, key: str, device: Device) -> tuple[int, float]:
        """Return what compares the latest handshakes of peers of the device: a later one is more.

        Args:
            key: A peer; one that is not there, or had no handshake, is before all others.
            device: What stands, read after the last look, or at it.
        """
        peer = device.peers.get(key)
        if peer is None or not peer.last_handshake_s:
            return (-1, 0.0)
        seen = self._seen.get(key)
        if seen is not None and seen[1] == peer.last_handshake_s:
            return seen
        return (self._looks, peer.last_handshake_s)

    def active_key(self, peer: DesiredPeer, device: Device) -> str:
        """Return the key that has the ranges: of two, the one with the later handshake.

        So they move as soon as the node uses its next key, and back if it goes back.
        """
        following = device.peers.get(peer.next_key) if peer.next_key else None
        if peer.next_key is None or following is None or not following.last_handshake_s:
            return peer.public_key
        later = self.rank(peer.public_key, device) > self.rank(peer.next_key, device)
        return peer.public_key if later else peer.next_key
