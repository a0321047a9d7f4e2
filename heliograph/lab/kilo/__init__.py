"""Kilo for clusters that have no nodes: its Peer, and nodes that look as its agent leaves them."""

from heliograph.lab.kilo.definition import install_peer_crd, peer_crd

__all__ = ["install_peer_crd", "peer_crd"]
