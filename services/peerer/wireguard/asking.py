"""Asks peers for a sign of life: a datagram that calls for an answer, through the tunnel."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

DISCARD_PORT: Final = 9
"""Where usually nobody listens (RFC 863): the other kernel says so, and that is an answer."""


class Asker:
    """Sends empty datagrams; no right but that to the network is needed, as for pings is."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def ask(self, addresses: Iterable[str]) -> None:
        """Send to each address; one that cannot be sent to just does not answer."""
        for address in addresses:
            with suppress(OSError):
                self._socket(address).sendto(b"", (address, DISCARD_PORT))

    def close(self) -> None:
        """Close the sockets."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()

    def _socket(self, address: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if family not in self._sockets:
            made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._sockets[family] = made
        return self._sockets[family]
