"""What a Node says of itself as a peer: by Kilo's annotations, or by our own agent's. Pure."""

from __future__ import annotations

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo import facts as kilo
from heliograph.kube.objects import Node
from heliograph.wireguard import facts as wireguard


def peer_facts(node: Node) -> NodeAnnounced | None:
    """Return what is told of a node; None if that is not enough for a peer.

    Kilo's word counts where Kilo runs: two programs may not set the peers of one node.
    """
    if kilo.runs_kilo(node):
        facts = kilo.node_facts(node)
        return facts.announced if facts else None
    return wireguard.announced_of(node)
