"""A WireGuard device: what stands on it, and the changes that it takes. Pure.

What is said of WireGuard itself is from wg(8), from include/uapi/linux/wireguard.h, and from the
cross-platform interface at https://www.wireguard.com/xplatform/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from heliograph.wireguard.keys import PrivateKey


class DevicePeer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer as it stands on the device.

    Attributes:
        public_key: Base64 of 32 bytes.
        endpoint: "address:port" (IPv6 in brackets): where the peer was heard last, or what was
            set; None while neither is known.
        persistent_keepalive: Seconds between keepalives; 0 turns them off.
        allowed_ips: Canonical ranges; no two peers of a device have one in common.
        last_handshake_s: Seconds since the Unix epoch; 0 while there was none.
        rx_bytes: Received from it, since the peer stands.
        tx_bytes: Sent to it.
    """

    public_key: str
    endpoint: str | None = None
    persistent_keepalive: int = 0
    allowed_ips: frozenset[str] = frozenset()
    last_handshake_s: float = 0.0
    rx_bytes: int = 0
    tx_bytes: int = 0


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it stands; its private key is never read back.

    Attributes:
        public_key: Of the device's own key; None while it has none.
        listen_port: UDP port; 0 while none is open.
        peers: By public key.
    """

    public_key: str | None = None
    listen_port: int = 0
    peers: Mapping[str, DevicePeer] = {}


class SetPeer(msgspec.Struct, frozen=True, kw_only=True):
    """Make a peer, or change one in place.

    Attributes:
        public_key: Which one.
        new: Whether to make it; else it is changed only if it stands.
        endpoint: Where it is sent to from now on; None leaves that as it is, since peers roam.
        persistent_keepalive: Seconds; None leaves that as it is.
        add: Ranges to give to it. One that another peer has moves over in one step.
        remove: Ranges to take from it, for nobody; others of it are not touched.
    """

    public_key: str
    new: bool = False
    endpoint: str | None = None
    persistent_keepalive: int | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class RemovePeer(msgspec.Struct, frozen=True, kw_only=True):
    """Take a peer away, with its ranges."""

    public_key: str


DeviceChange = SetPeer | RemovePeer


class DeviceBackend(Protocol):
    """The one device that an agent owns, whatever implements it: the kernel, or a userspace tunnel.

    Every method raises a `heliograph.wireguard.errors.TunnelError` where it fails.
    """

    async def read(self) -> Device:
        """Return what stands."""
        ...

    async def configure(self, private_key: PrivateKey, listen_port: int) -> None:
        """Set the device's own key and port; peers stay, and their sessions begin anew."""
        ...

    async def apply(self, changes: Sequence[DeviceChange]) -> None:
        """Carry changes out, in their order; what they do not name is not touched.

        Where one fails, those before it stand, and the caller reads and plans again.
        """
        ...
