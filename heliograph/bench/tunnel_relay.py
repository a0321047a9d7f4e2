"""The floor for tunnels: takes each announced node from the bus, and writes one peer of it.

No tables, no plan, no routes and no safety. `python -m heliograph.bench.tunnel_relay URL CLUSTER
INTERFACE PROGRAM...` runs it; for each peer it prints a line of JSON: when it stood.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from heliograph import program
from heliograph.bus import ConnectionSettings, Message, connect
from heliograph.contract.messages import NodeAnnounced, decode
from heliograph.contract.names import parse_cluster_id
from heliograph.contract.subjects import Kind, kind_filter, parse_subject
from heliograph.wireguard.device import SetPeer
from heliograph.wireguard.keys import PrivateKey
from heliograph.wireguard.userspace import UserspaceDevice, start_userspace


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """A peer stands.

    Attributes:
        at_s: Since when, seconds since the Unix epoch.
    """

    at_s: float


async def relay(url: str, cluster: str, interface: str, command: list[str]) -> None:
    """Relay for ever."""
    await start_userspace(interface, command, log=Path.cwd() / f"{interface}.log")
    device = UserspaceDevice(interface)
    await device.configure(PrivateKey.generate(), 0)
    arrived: asyncio.Queue[Message] = asyncio.Queue()
    settings = ConnectionSettings(urls=(url,), name="relay")
    async with connect(settings) as connection:
        where = kind_filter(parse_cluster_id(cluster), Kind.NODE)
        await connection.subscribe(where, arrived.put_nowait)
        _say({"listening": True})
        while True:
            message = await arrived.get()
            node = decode(parse_subject(message.subject), message.payload)
            if isinstance(node, NodeAnnounced):
                added = SetPeer(public_key=node.public_key, new=True, add=node.pod_cidrs)
                await device.apply([added])
                _say(msgspec.to_builtins(Stood(at_s=time.time())))


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _url, _cluster, _interface, *_command = sys.argv[1:]
    sys.exit(program.run(relay(_url, _cluster, _interface, _command)))
