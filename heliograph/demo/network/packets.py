"""Looks into a capture. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

_FILE_HEAD: Final = 24  # bytes; draft-ietf-opsawg-pcap
_RECORD: Final = struct.Struct("=IIII")
_ETHERNET: Final = 14
_IPV4: Final = b"\x08\x00"
_UDP: Final = 17


def datagrams_to(capture: bytes, port: int) -> int:
    """Count the UDP datagrams over IPv4 that go to a port; of a fragmented one, the first part.

    Args:
        capture: A file in the form of pcap, with whole Ethernet frames, in this machine's order.
        port: Where they go.
    """
    return sum(_destination(frame) == port for frame in _frames(capture))


def readable(capture: bytes, words: Iterable[str]) -> list[str]:
    """Return those of the words that stand somewhere in a capture as they are."""
    return [word for word in words if word.encode() in capture]


def _frames(capture: bytes) -> Iterator[bytes]:
    start = _FILE_HEAD
    while start + _RECORD.size <= len(capture):
        length = _RECORD.unpack_from(capture, start)[2]
        start += _RECORD.size
        yield capture[start : start + length]
        start += length


def _destination(frame: bytes) -> int | None:
    """Return where a frame's UDP datagram goes (RFC 791, RFC 768); None if it has none."""
    packet = frame[_ETHERNET:]
    if frame[_ETHERNET - 2 : _ETHERNET] != _IPV4 or len(packet) <= _ETHERNET or packet[9] != _UDP:
        return None
    later_part = int.from_bytes(packet[6:8], "big") & 0x1FFF
    udp = packet[(packet[0] & 0xF) * 4 :]
    return None if later_part else int.from_bytes(udp[2:4], "big")
