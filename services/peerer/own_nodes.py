"""Reads the importing cluster's own nodes, for the time until its watcher has spoken."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.contract.messages import NodeAnnounced
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import NODES
from heliograph.nodes import peer_facts


async def read_own_nodes(client: KubeClient) -> Mapping[str, NodeAnnounced]:
    """Return the nodes that are able to be peers, as the API server has them now."""
    nodes = (await client.list(NODES)).items
    facts = {node.metadata.name: peer_facts(node) for node in nodes}
    return {name: found for name, found in facts.items() if found is not None}
