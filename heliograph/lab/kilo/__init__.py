"""Kilo for clusters that have no nodes: its Peer, and nodes that look as its agent leaves them."""

from heliograph.lab.kilo.definition import install_peer_crd, peer_crd
from heliograph.lab.kilo.node import KiloNode
from heliograph.lab.kilo.nodes import KiloNodes
from heliograph.lab.kilo.ranges import kilo_nodes, kilo_subnet

__all__ = [
    "KiloNode",
    "KiloNodes",
    "install_peer_crd",
    "kilo_nodes",
    "kilo_subnet",
    "peer_crd",
]
