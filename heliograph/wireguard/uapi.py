"""The text that userspace WireGuard speaks over its socket: what is sent, what comes back. Pure.

Source: https://www.wireguard.com/xplatform/, "Configuration Protocol". Keys are in hex there.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.endpoints import pack_range, split_endpoint
from heliograph.wireguard.errors import TunnelBusy, TunnelError
from heliograph.wireguard.keys import KEY_BYTES, PrivateKey

GET: Final = "get=1\n\n"
_NANOSECOND: Final = 1e-9


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation brought.

    Attributes:
        error: A positive errno; 0 where all went well.
        device: What stands; empty in the answer to a set.
    """

    error: int
    device: Device


def set_device(private_key: PrivateKey | None, listen_port: int | None) -> str:
    """Return a transaction that sets key and port of the device, each only where given."""
    lines = [] if private_key is None else [f"private_key={private_key.reveal().hex()}"]
    if listen_port is not None:
        lines.append(f"listen_port={listen_port}")
    return _transaction(lines)


def set_peers(changes: Sequence[DeviceChange]) -> str:
    """Return one transaction for all changes, in their order.

    Raises:
        TunnelError: A key, an endpoint or a range is none; nothing was sent then.
    """
    return _transaction(line for change in changes for line in _peer(change))


def _transaction(lines: Iterable[str]) -> str:
    return "\n".join(["set=1", *lines, "", ""])


def _peer(change: DeviceChange) -> Iterator[str]:
    yield f"public_key={_hex(change.public_key)}"
    if isinstance(change, RemovePeer):
        # Without it the peer is made first, where it does not stand.
        yield "update_only=true"
        yield "remove=true"
        return
    if not change.new:
        yield "update_only=true"
    if change.endpoint is not None:
        split_endpoint(change.endpoint)
        yield f"endpoint={change.endpoint}"
    if change.persistent_keepalive is not None:
        yield f"persistent_keepalive_interval={change.persistent_keepalive}"
    yield from _ranges(change)


def _ranges(change: SetPeer) -> Iterator[str]:
    for cidr in change.add:
        pack_range(cidr)
        yield f"allowed_ip={cidr}"
    for cidr in change.remove:
        pack_range(cidr)
        yield f"allowed_ip=-{cidr}"


def _hex(public_key: str) -> str:
    try:
        raw = base64.b64decode(public_key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise TunnelError(f"{public_key!r} is no WireGuard key: it is not base64 of 32 bytes")
    return raw.hex()


def parse(text: str) -> Answer:
    """Return what an answer says; keys that nobody knows here are passed over.

    Raises:
        TunnelBusy: It breaks off before its end: the program ended.
        TunnelError: It has something that is no such answer.
    """
    error: int | None = None
    device: dict[str, str] = {}
    peers: list[_Peer] = []
    try:
        for line in filter(None, text.split("\n")):
            key, _, value = line.partition("=")
            if key == "errno":
                error = abs(int(value))
            elif key == "public_key":
                peers.append(_Peer(value))
            elif peers:
                peers[-1].take(key, value)
            else:
                device[key] = value
        found = Device(
            public_key=_public_key(device.get("private_key")),
            listen_port=int(device.get("listen_port", 0)),
            peers={peer.public_key: peer.done() for peer in peers},
        )
    except ValueError as exc:
        raise TunnelError(f"the tunnel's program answers what cannot be read: {exc}") from exc
    if error is None:
        raise TunnelBusy("the tunnel's program broke off in the middle of its answer")
    return Answer(error=error, device=found)


def _public_key(private_key: str | None) -> str | None:
    return None if private_key is None else PrivateKey(bytes.fromhex(private_key)).public


class _Peer:
    """A peer while its lines come in."""

    __slots__ = ("_facts", "_ranges", "public_key")

    def __init__(self, public_key: str) -> None:
        self.public_key: Final = base64.b64encode(bytes.fromhex(public_key)).decode()
        self._facts: dict[str, str] = {}
        self._ranges: set[str] = set()

    def take(self, key: str, value: str) -> None:
        if key == "allowed_ip":
            self._ranges.add(_canonical(value))
        else:
            self._facts[key] = value

    def done(self) -> DevicePeer:
        seconds, nanoseconds = (
            self._number("last_handshake_time_sec"),
            self._number("last_handshake_time_nsec"),
        )
        return DevicePeer(
            public_key=self.public_key,
            endpoint=self._facts.get("endpoint"),
            persistent_keepalive=self._number("persistent_keepalive_interval"),
            allowed_ips=frozenset(self._ranges),
            last_handshake_s=seconds + nanoseconds * _NANOSECOND,
            rx_bytes=self._number("rx_bytes"),
            tx_bytes=self._number("tx_bytes"),
        )

    def _number(self, key: str) -> int:
        return int(self._facts.get(key, 0))


def _canonical(cidr: str) -> str:
    """Return a range in its one form: programs differ in how they write IPv6."""
    return str(ipaddress.ip_network(cidr, strict=False)) if ":" in cidr else cidr
