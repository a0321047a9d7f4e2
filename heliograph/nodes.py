"""What a Node says of itself as a peer: by Kilo's annotations, or by our own agent's. Pure.

Kilo's word counts where Kilo runs: two programs may not set the peers of one node.
"""

from __future__ import annotations

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo import facts as kilo
from heliograph.kube.objects import Node
from heliograph.wireguard import facts as wireguard


def announced_of(node: Node) -> NodeAnnounced | None:
    """Return what the other clusters are told of a node, if its agent lives."""
    return kilo.announced_of(node) if kilo.runs_kilo(node) else wireguard.announced_of(node)


def said_of(node: Node) -> tuple[object, ...]:
    """Return the texts that `announced_of` reads: those of a mere heartbeat equal the last ones."""
    return (*kilo.said_of(node), *map(node.metadata.annotations.get, wireguard.SAID))


def peer_facts(node: Node) -> NodeAnnounced | None:
    """Return what is told of a node; None if that is not enough for a peer."""
    silent = kilo.runs_kilo(node) and kilo.heartbeat_s(node) is None
    return None if silent else announced_of(node)
