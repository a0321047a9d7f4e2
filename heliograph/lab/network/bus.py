"""A nats-server with JetStream on a host of the network."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

from heliograph.bus.server import find_binary
from heliograph.lab.network.host import Host
from heliograph.lab.network.program import Program

NATS_PORT: Final = 4222

_CONFIG: Final = """\
host: "{address}"
port: {port}
server_name: "{name}"
ping_interval: "2s"
ping_max: 2
jetstream {{
  store_dir: "{store}"
}}
"""


def start_nats(host: Host, address: IPv4Address) -> Program:
    """Start it; everybody in the network may do everything there."""
    config = host.folder / "nats-server.conf"
    fields = {"address": address, "port": NATS_PORT, "name": host.name.replace("/", "-")}
    text = _CONFIG.format(store=host.folder / "nats", **fields)
    config.write_text(text, encoding="utf-8")
    return host.spawn((find_binary(), "-c", config), name="nats-server")
