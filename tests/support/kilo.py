"""Kilo's nodes, from their annotations to what is announced of them."""

from __future__ import annotations

import base64

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo.facts import FRESH_S, node_facts
from heliograph.kilo.mesh import OURS, Granularity, MeshRules, Nodes, mesh_of
from heliograph.kilo.peer import PeerSpec
from heliograph.kilo.specs import peer_spec, with_extras
from tests.support.builders import NOW_S, kilo, node


def key(number: int) -> str:
    """Return a key of 32 equal bytes."""
    return base64.b64encode(bytes([number]) * 32).decode()


def announced_nodes(
    *, region: str = "", now_s: float = NOW_S, **nodes: dict[str, str]
) -> dict[str, NodeAnnounced]:
    """Return what is announced of nodes; underscores in names and annotations stand for dashes.

    Each node is given by its annotations and "pods"; one that says too little is left out, and one
    whose heartbeat is 60 s old is not ready.
    """
    found: dict[str, NodeAnnounced] = {}
    for name, given in nodes.items():
        said = {"last_seen": str(NOW_S), "granularity": "full"} | given
        pods = said.pop("pods").split(",")
        labels = {"topology.kubernetes.io/region": region} if region else {}
        made = node(
            name, annotations=kilo(**said), labels=labels, pod_cidrs=tuple(filter(None, pods))
        )
        facts = node_facts(made)
        if facts is not None:
            ready = now_s - facts.last_seen_s < FRESH_S
            found[name.replace("_", "-")] = msgspec.structs.replace(facts.announced, ready=ready)
    return found


def peers(
    nodes: Nodes,
    *,
    rules: MeshRules = OURS,
    granularity: Granularity = "",
    extras: tuple[str, ...] = (),
) -> dict[str, PeerSpec]:
    """Return the Peers of a cluster, by the node that leads the segment."""
    mesh = mesh_of(nodes, granularity=granularity, rules=rules)
    return {s.leader: with_extras(peer_spec(s, nodes, rules), extras) for s in mesh.segments}
