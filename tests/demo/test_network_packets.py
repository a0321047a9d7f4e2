"""What is read out of a capture."""

from __future__ import annotations

import struct

import pytest

from heliograph.demo.network.packets import datagrams_to, readable

PORT = 51820
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"


def packet(protocol: int, port: int, *, offset: int = 0, options: bytes = b"") -> bytes:
    """Return an IPv4 packet with ports, and some text in it."""
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBHII", 0x40 | words, 0, 0, 0, offset, 64, protocol, 0, 1, 2)
    return head + options + struct.pack("!HHHH", 9, port, 0, 0) + b"HTTP/1.1 200 OK"


def capture(*frames: bytes) -> bytes:
    """Return a file with frames, as the laboratory's capture writes it."""
    head = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = (struct.pack("=IIII", 1, 2, len(frame), len(frame)) + frame for frame in frames)
    return head + b"".join(records)


def frame(kind: bytes, payload: bytes) -> bytes:
    return bytes(12) + kind + payload


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        (frame(IPV4, packet(17, PORT)), 1),
        (frame(IPV4, packet(17, PORT, options=bytes(8))), 1),
        (frame(IPV4, packet(17, PORT, offset=0x2000)), 1),
        (frame(IPV4, packet(17, PORT, offset=0x0010)), 0),
        (frame(IPV4, packet(17, 4222)), 0),
        (frame(IPV4, packet(6, PORT)), 0),
        (frame(IPV6, packet(17, PORT)), 0),
        (frame(IPV4, b""), 0),
        (b"", 0),
    ],
    ids=[
        "plain",
        "options",
        "first-part",
        "later-part",
        "other-port",
        "tcp",
        "ipv6",
        "empty",
        "nothing",
    ],
)
def test_datagrams_to_a_port_are_counted(seen: bytes, count: int) -> None:
    """UDP over IPv4 to this very port, by where its header really is; all else is passed over."""
    other = frame(IPV4, packet(17, PORT))

    assert datagrams_to(capture(seen), PORT) == count
    assert datagrams_to(capture(other, seen, other), PORT) == count + 2


def test_a_file_cut_off_ends_with_its_last_whole_head() -> None:
    """The capture may have been ended in the middle of a record."""
    whole = capture(frame(IPV4, packet(17, PORT)))

    assert datagrams_to(whole + b"\0" * 15, PORT) == 1
    assert datagrams_to(b"", PORT) == 0


def test_plain_text_is_found() -> None:
    """The words that could be read are named, and no others."""
    seen = capture(frame(IPV4, packet(6, 80)))

    assert readable(seen, ("important-service", "HTTP/1")) == ["HTTP/1"]
