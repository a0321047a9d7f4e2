"""Probes of idle connections: a watch may be silent for a minute, and its connection be dead.

A machine that changed its address, or an API server's that lost its power, says nothing to anybody.
"""

from __future__ import annotations

import socket
from typing import Final

import aiohttp

_OPTIONS: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""Half a minute until a dead one is known to be: as client-go does by pings of HTTP/2. tcp(7)."""


def probe(response: aiohttp.ClientResponse) -> None:
    """Let the kernel probe the connection of a response whose body may take long."""
    transport = response.connection.transport if response.connection else None
    connected = transport.get_extra_info("socket") if transport else None
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):  # not on every system
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
