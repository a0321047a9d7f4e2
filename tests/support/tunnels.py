"""What a node of cluster here knows of the agents' nodes of cluster east: for tests of tunnels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.wireguard.device import Device, DevicePeer
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.desired import DesiredPeers, desire_peers
from services.peerer.wireguard.picture import Picture
from tests.support.peers import EAST, HERE, Nodes, here, key, neighbour, node

NEXT = {number: key(100 + number) for number in (1, 2, 3)}
"""The keys that nodes change to."""

SERVICES = "10.101.0.0/16"
"""The range that all nodes of east offer."""


class Known(Picture):
    """A picture in which cluster east is admitted, with these nodes."""

    @override
    def __init__(self, known: Nodes) -> None:
        super().__init__(HERE, PeererSettings(cluster="here"), node="h1")
        self.change(known)

    def change(self, known: Nodes) -> None:
        """Take that east announces other nodes."""
        east = neighbour(known)
        self._found = {EAST: desire_peers(east, here(east))}

    @override
    def desired(self) -> Mapping[ClusterId, DesiredPeers]:
        return self._found

    @property
    @override
    def certain(self) -> bool:
        return True


def agents_node(number: int = 1, **fields: Any) -> NodeAnnounced:  # noqa: ANN401
    """Return a node of east with an agent of ours: pods 10.1.N.0/24, tunnel address 10.201.0.N."""
    usual = {"peering": "wireguard", "tunnel_ip": f"10.201.0.{number}/16", "granularity": ""}
    return node(number, **(usual | fields))


def standing(*peers: DevicePeer) -> Device:
    """Return a device with these peers."""
    return Device(public_key=key(99), listen_port=51820, peers={p.public_key: p for p in peers})
