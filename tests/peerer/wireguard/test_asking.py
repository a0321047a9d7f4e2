"""Asking peers for a sign of life: a datagram, whatever stands in its way."""

from __future__ import annotations

import asyncio
import socket

from services.peerer.wireguard.asking import DISCARD_PORT, Asker
from tests.support.apart import apart


def listening(address: str) -> socket.socket:
    """Return a socket where questions come in."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind((address, DISCARD_PORT))
    return made


@apart
async def test_each_address_gets_an_empty_datagram() -> None:
    """Addresses that cannot be sent to, of either family, keep nobody else from being asked."""
    asker, loop = Asker(), asyncio.get_running_loop()
    unreachable = ("192.0.2.1", "2001:db8::1", "no address")
    with listening("127.0.0.1") as four, listening("::1") as six:
        asker.ask([*unreachable, "127.0.0.1", "::1"])
        async with asyncio.timeout(10):
            assert await loop.sock_recv(four, 100) == b""
            assert await loop.sock_recv(six, 100) == b""
    asker.close()


@apart
async def test_one_that_was_closed_asks_again() -> None:
    """Closing is safe to repeat, and ends nothing for ever."""
    asker, loop = Asker(), asyncio.get_running_loop()
    asker.close()
    with listening("127.0.0.1") as four:
        for _ in range(2):
            asker.ask(["127.0.0.1"])
            async with asyncio.timeout(10):
                assert await loop.sock_recv(four, 100) == b""
            asker.close()
