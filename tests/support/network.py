"""Networks of the laboratory for tests; a machine that cannot have them skips, but never in CI."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from heliograph.lab.network import (
    Asker,
    ClusterSpec,
    Host,
    Laboratory,
    LaboratorySpec,
    NetworkUnavailable,
    NodeSpec,
    Program,
)
from heliograph.lab.network.machine import require_tools

UDP_PORT = 7

TWO_CLUSTERS = LaboratorySpec(
    clusters=(
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1"), NodeSpec(name="w2"))),
        ClusterSpec(
            name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2")), cluster_cidr=False
        ),
    ),
)
"""Two nodes each; east's kube-proxy does not know the range of pods."""

_ECHO = f"""\
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", {UDP_PORT}))
print("listening", flush=True)
while True:
    text, client = server.recvfrom(65535)
    server.sendto(client[0].encode(), client)
"""
_ASK = f"""\
import json, socket, sys
address, count, within_s, size = sys.argv[1], *map(float, sys.argv[2:])
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect((address, {UDP_PORT}))
client.settimeout(within_s)
seen = []
for number in range(int(count)):
    try:
        client.send(b"in plain text".ljust(int(size), b"."))
        seen.append(client.recv(100).decode())
    except OSError:
        pass
print(json.dumps(seen))
"""


def require_network() -> None:
    """Skip the test where the machine, or the person, cannot have a network; fail in CI."""
    try:
        require_tools()
    except NetworkUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def running_laboratory(spec: LaboratorySpec, folder: Path) -> Iterator[Laboratory]:
    """Run a laboratory beside the body, for any event loop."""
    laboratory = Laboratory(spec, folder)
    asyncio.run(laboratory.__aenter__())
    try:
        yield laboratory
    finally:
        laboratory.stop()


async def echo(host: Host) -> Program:
    """Answer every packet to a UDP port of a host with the address that it came from."""
    program = host.spawn((sys.executable, "-I", "-c", _ECHO), name="echo")
    await program.wait_ready_async(lambda: program.log_tail == "listening\n")
    return program


async def ask(
    host: Host, address: IPv4Address, count: int = 3, *, within_s: float = 0.3, size: int = 100
) -> list[str]:
    """Send so many packets to a host that echoes, one after another; return what was answered."""
    numbers = (str(count), str(within_s), str(size))
    outcome = await host.run((sys.executable, "-I", "-c", _ASK, str(address), *numbers))
    return msgspec.json.decode(outcome.text(), type=list[str])


def failed(asker: Asker, since: float) -> list[str]:
    """Return why requests that began after `since` failed."""
    return [answer.said for answer in asker.answers() if answer.at >= since and not answer.ok]
