"""Where the programs of a control plane run: on this machine's loopback, or somewhere inside."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import msgspec

Connect = Callable[[tuple[str, int], float], socket.socket]
"""Opens a TCP connection to an address and port, within so many seconds; raises OSError."""

LOOPBACK: Final = "127.0.0.1"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the programs run, and how they are reached.

    Attributes:
        address: kube-apiserver listens there and advertises it (loopback is not advertised).
        port: Of kube-apiserver; 0 for any free one of loopback, held as long as the plane lives.
        prefix: Put before every command, such as nsenter(1) and its options; empty for none.
        connect: How this process reaches `address`.
    """

    address: str = LOOPBACK
    port: int = 0
    prefix: tuple[str, ...] = ()
    connect: Connect = socket.create_connection


HERE: Final = Place()
"""On this machine, on loopback."""
