"""WireGuard's generic netlink messages: packed, and taken apart. Pure.

Source: include/uapi/linux/wireguard.h, drivers/net/wireguard/netlink.c. What replaces a list,
WGDEVICE_F_REPLACE_PEERS and WGPEER_F_REPLACE_ALLOWEDIPS, is never sent: packets are lost
while the list is empty. Pre-shared keys stay as they are.
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from heliograph.ranges import IPV4_BYTES
from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.endpoints import (
    format_address,
    join_endpoint,
    pack_range,
    split_endpoint,
)
from heliograph.wireguard.errors import TunnelError
from heliograph.wireguard.keys import KEY_BYTES, PrivateKey
from heliograph.wireguard.nlmsg import NESTED, attribute, attributes, nested

FAMILY: Final = "wireguard"
_VERSION: Final = 1
_GET_DEVICE, _SET_DEVICE = 0, 1

_IFNAME, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 2, 3, 4, 6, 8
_PEER_KEY, _PEER_FLAGS, _ENDPOINT, _KEEPALIVE, _HANDSHAKE, _RX, _TX, _ALLOWED_IPS = (
    1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
_REMOVE_PEER: Final = attribute(_PEER_FLAGS, struct.pack("=I", 1))
_UPDATE_ONLY: Final = attribute(_PEER_FLAGS, struct.pack("=I", 4))
_RANGE_FAMILY, _RANGE_ADDRESS, _RANGE_BITS, _RANGE_FLAGS = 1, 2, 3, 4
_REMOVE_RANGE: Final = attribute(_RANGE_FLAGS, struct.pack("=I", 1))
_RANGE4: Final = struct.Struct("=HHHHH2xHH4sHHB3x")
_RANGE6: Final = struct.Struct("=HHHHH2xHH16sHHB3x")
"""A range at once: the attribute around it, then its family, address and prefix length."""

_LIMIT_BYTES: Final = 30_000
"""Of the peers in one message: an attribute's length has 16 bits."""

_RANGES: Final = 500
"""Ranges of a peer in one message: at most 48 bytes each."""

_GENERIC: Final = struct.Struct("=BBH")
_SOCKADDR_IN: Final = struct.Struct("=H2s4s8x")
_SOCKADDR_IN6: Final = struct.Struct("=H2s4x16sI")
_TIMESPEC: Final = struct.Struct("=qq")
_NANOSECOND: Final = 1e-9


def get_device(name: str) -> bytes:
    """Return what asks for all that stands on a device."""
    return _GENERIC.pack(_GET_DEVICE, _VERSION, 0) + _name(name)


def set_device(name: str, private_key: PrivateKey, listen_port: int) -> bytes:
    """Return what sets key and port; the kernel does nothing about one that it has already."""
    return (
        _GENERIC.pack(_SET_DEVICE, _VERSION, 0)
        + _name(name)
        + attribute(_PRIVATE_KEY, private_key.reveal())
        + attribute(_LISTEN_PORT, struct.pack("=H", listen_port))
    )


def set_peers(name: str, changes: Sequence[DeviceChange]) -> list[bytes]:
    """Return the messages that carry changes out, in their order: many peers in each.

    Raises:
        TunnelError: A key, an endpoint or a range is none.
    """
    head = _GENERIC.pack(_SET_DEVICE, _VERSION, 0) + _name(name)
    pieces = itertools.chain.from_iterable(map(_pieces, changes))
    return [head + nested(_PEERS, *batch) for batch in _batches(pieces)]


def _name(name: str) -> bytes:
    return attribute(_IFNAME, name.encode() + b"\0")


def _batches(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        if batch and size + len(piece) > _LIMIT_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += len(piece)
    if batch:
        yield batch


def _pieces(change: DeviceChange) -> Iterator[bytes]:
    """Yield one peer's attributes: in several pieces, if it has very many ranges."""
    key = attribute(_PEER_KEY, _raw_key(change.public_key))
    if isinstance(change, RemovePeer):
        yield nested(0, key, _REMOVE_PEER)
        return
    ranges = [_range(cidr) for cidr in change.add]
    ranges += [_range(cidr, _REMOVE_RANGE) for cidr in change.remove]
    first = [key] if change.new else [key, _UPDATE_ONLY]
    yield nested(0, *first, *_facts(change), *_ranges(ranges[:_RANGES]))
    for start in range(_RANGES, len(ranges), _RANGES):
        yield nested(0, key, _UPDATE_ONLY, *_ranges(ranges[start : start + _RANGES]))


def _facts(change: SetPeer) -> Iterator[bytes]:
    if change.endpoint is not None:
        yield attribute(_ENDPOINT, _sockaddr(change.endpoint))
    if change.persistent_keepalive is not None:
        yield attribute(_KEEPALIVE, struct.pack("=H", change.persistent_keepalive))


def _ranges(ranges: Sequence[bytes]) -> Iterator[bytes]:
    if ranges:
        yield nested(_ALLOWED_IPS, *ranges)


def _range(cidr: str, flags: bytes = b"") -> bytes:
    raw, bits = pack_range(cidr)
    size = len(raw)
    packer, family = (_RANGE4, socket.AF_INET) if size == IPV4_BYTES else (_RANGE6, socket.AF_INET6)
    head = (packer.size + len(flags), NESTED, 6, _RANGE_FAMILY, family, size + 4, _RANGE_ADDRESS)
    return packer.pack(*head, raw, 5, _RANGE_BITS, bits) + flags


def _raw_key(public_key: str) -> bytes:
    try:
        raw = base64.b64decode(public_key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise TunnelError(f"{public_key!r} is no WireGuard key: it is not base64 of 32 bytes")
    return raw


def _sockaddr(endpoint: str) -> bytes:
    address, port = split_endpoint(endpoint)
    network_port = port.to_bytes(2, "big")
    if isinstance(address, ipaddress.IPv4Address):
        return _SOCKADDR_IN.pack(socket.AF_INET, network_port, address.packed)
    zone = address.scope_id or "0"
    if not zone.isdecimal():
        raise TunnelError(f"{endpoint!r} has the name of a zone, where WireGuard takes a number")
    return _SOCKADDR_IN6.pack(socket.AF_INET6, network_port, address.packed, int(zone))


def parse_device(bodies: Iterable[bytes]) -> Device:
    """Return what stands, from all parts of an answer: a peer may be spread over several."""
    port, public_key = 0, None
    peers: dict[bytes, _Peer] = {}
    for body in bodies:
        for kind, payload in attributes(body, _GENERIC.size):
            if kind == _LISTEN_PORT:
                (port,) = struct.unpack("=H", payload)
            elif kind == _PUBLIC_KEY:
                public_key = _text_key(payload)
            elif kind == _PEERS:
                for _, peer in attributes(payload):
                    _take_peer(peer, peers)
    return Device(
        public_key=public_key,
        listen_port=port,
        peers={found.public_key: found for found in (peer.done() for peer in peers.values())},
    )


def _take_peer(data: bytes, peers: dict[bytes, _Peer]) -> None:
    facts = dict(attributes(data))
    key = facts[_PEER_KEY]
    if key not in peers:
        peers[key] = _Peer(key, facts)
    peers[key].ranges.update(
        _text_range(data) for _, data in attributes(facts.get(_ALLOWED_IPS, b""))
    )


class _Peer:
    """A peer while its parts come in: the first has its facts, all have ranges."""

    __slots__ = ("_facts", "_key", "ranges")

    def __init__(self, key: bytes, facts: dict[int, bytes]) -> None:
        self._key: Final = key
        self._facts: Final = facts
        self.ranges: Final[set[str]] = set()

    def done(self) -> DevicePeer:
        seconds, nanoseconds = _TIMESPEC.unpack(self._facts.get(_HANDSHAKE, bytes(16)))
        return DevicePeer(
            public_key=_text_key(self._key),
            endpoint=_text_endpoint(self._facts.get(_ENDPOINT)),
            persistent_keepalive=self._number(_KEEPALIVE),
            allowed_ips=frozenset(self.ranges),
            last_handshake_s=seconds + nanoseconds * _NANOSECOND,
            rx_bytes=self._number(_RX),
            tx_bytes=self._number(_TX),
        )

    def _number(self, kind: int) -> int:
        return int.from_bytes(self._facts.get(kind, b""), sys.byteorder)


def _text_key(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _text_range(data: bytes) -> str:
    facts = dict(attributes(data))
    return f"{format_address(facts[_RANGE_ADDRESS])}/{facts[_RANGE_BITS][0]}"


def _text_endpoint(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    if len(raw) == _SOCKADDR_IN.size:
        _, port, address = _SOCKADDR_IN.unpack(raw)
        return join_endpoint(format_address(address), int.from_bytes(port, "big"))
    _, port, address, zone = _SOCKADDR_IN6.unpack(raw)
    text = format_address(address) + (f"%{zone}" if zone else "")
    return join_endpoint(text, int.from_bytes(port, "big"))
