"""A steady stream of datagrams between two hosts, each with a number: which of them were lost."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address

import msgspec

from heliograph.lab.network import Host, Program

UDP_PORT = 9009

_MIRROR = f"""\
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", {UDP_PORT}))
print("listening", flush=True)
while True:
    server.sendto(*server.recvfrom(65535))
"""
_STREAM = f"""\
import json, select, signal, socket, sys, time
going = True
def end(*_):
    global going
    going = False
signal.signal(signal.SIGTERM, end)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect((sys.argv[1], {UDP_PORT}))
waiting, sent, until, next_at = set(), 0, None, time.monotonic()
while until is None or (waiting and time.monotonic() < until):
    now = time.monotonic()
    if going and now >= next_at:
        next_at += 0.002
        waiting.add(sent)
        try:
            client.send(str(sent).encode())
        except OSError:
            pass
        sent += 1
    if not going and until is None:
        until = now + 2
    if select.select([client], [], [], max(0, min(next_at - now, 0.002)))[0]:
        try:
            waiting.discard(int(client.recv(100)))
        except OSError:
            pass
print(json.dumps({{"sent": sent, "lost": sorted(waiting)}}), flush=True)
"""


class Streamed(msgspec.Struct, frozen=True):
    """How many datagrams were sent, and the numbers of those that no answer came for."""

    sent: int
    lost: list[int]


async def mirror(host: Host) -> Program:
    """Send every datagram to a port of a host back to where it came from."""
    program = host.spawn((sys.executable, "-I", "-c", _MIRROR), name="mirror")
    await program.wait_ready_async(lambda: program.log_tail == "listening\n")
    return program


class Stream:
    """Five hundred datagrams a second from one host to another that mirrors them."""

    def __init__(self, host: Host, address: IPv4Address) -> None:
        arguments = (sys.executable, "-I", "-c", _STREAM, str(address))
        self._program = host.spawn(arguments, name="stream")

    def stop(self) -> Streamed:
        """End it, and return what became of them."""
        self._program.stop()
        return msgspec.json.decode(self._program.log_tail, type=Streamed)
