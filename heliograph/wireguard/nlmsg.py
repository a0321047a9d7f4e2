"""Netlink's messages and attributes as bytes: packed, and taken apart. Pure.

Source: netlink(7), include/uapi/linux/netlink.h. pyroute2 knows all this as well, at 0.4 ms a
message; what is sent by the thousand is packed here, at a hundredth of that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

REQUEST: Final = 0x1
MULTI: Final = 0x2
ACK: Final = 0x4
DUMP_INTERRUPTED: Final = 0x10
DUMP: Final = 0x300
REPLACE: Final = 0x100
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400

ERROR: Final = 2
DONE: Final = 3

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")
_CAPPED: Final = 0x100
_EXTENDED: Final = 0x200
_EXTENDED_TEXT: Final = 1
_TYPE_MASK: Final = 0x3FFF
NESTED: Final = 0x8000
HEADER_BYTES: Final = _HEADER.size


class Request(msgspec.Struct, frozen=True, gc=False):
    """What is asked of the kernel: message type, flags, and what follows the header."""

    kind: int
    flags: int
    body: bytes


class Message(msgspec.Struct, frozen=True, gc=False):
    """What the kernel says; `raw` has the header too."""

    kind: int
    flags: int
    sequence: int
    raw: bytes

    @property
    def body(self) -> bytes:
        """What follows the header."""
        return self.raw[HEADER_BYTES:]


class Refusal(msgspec.Struct, frozen=True):
    """A request that the kernel refused.

    Attributes:
        index: Which one, counted from 0.
        error: Positive errno.
        text: What the kernel says about it; often nothing.
    """

    index: int
    error: int
    text: str


def attribute(kind: int, payload: bytes) -> bytes:
    """Return an attribute, padded to a multiple of four bytes."""
    size = len(payload)
    return _ATTRIBUTE.pack(size + 4, kind) + payload + b"\0" * (-size % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each attribute from an offset to the end."""
    end = len(data)
    while offset + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < 4:  # noqa: PLR2004 - its own header; anything less never ends
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + size]
        offset += (size + 3) & ~3


def pack(request: Request, sequence: int, flags: int = 0) -> bytes:
    """Return a request with its header, and more flags; the kernel fills in who sent it."""
    size = HEADER_BYTES + len(request.body)
    return _HEADER.pack(size, request.kind, request.flags | flags | REQUEST, sequence, 0) + (
        request.body
    )


def unpack(datagram: bytes) -> Iterator[Message]:
    """Yield the messages in a datagram."""
    offset = 0
    while offset + HEADER_BYTES <= len(datagram):
        size, kind, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
        if size < HEADER_BYTES:
            return
        yield Message(kind, flags, sequence, datagram[offset : offset + size])
        offset += (size + 3) & ~3


def failure(message: Message) -> tuple[int, str]:
    """Return errno, positive, and text of an ERROR or DONE; (0, "") for an acknowledgement."""
    body = message.body
    if len(body) < _ERROR.size:
        return 0, ""
    (error,) = _ERROR.unpack_from(body)
    return -error, _text(message, body) if error else ""


def _text(message: Message, body: bytes) -> str:
    if not message.flags & _EXTENDED:
        return ""
    offset = _ERROR.size
    if message.kind == ERROR:  # the refused message follows, or its header alone
        (size,) = struct.unpack_from("=I", body, offset)
        offset += HEADER_BYTES if message.flags & _CAPPED else (size + 3) & ~3
    for kind, payload in attributes(body, offset):
        if kind == _EXTENDED_TEXT:
            return payload.rstrip(b"\0").decode(errors="replace")
    return ""


def datagrams(requests: Sequence[Request], limit_bytes: int) -> Iterator[range]:
    """Yield which requests go together so that no datagram is larger than the limit.

    A request that is larger by itself goes alone.
    """
    start, size = 0, 0
    for index, request in enumerate(requests):
        grown = HEADER_BYTES + len(request.body)
        if index > start and size + grown > limit_bytes:
            yield range(start, index)
            start, size = index, 0
        size += grown
    if requests:
        yield range(start, len(requests))
