"""What is not taken from an exporting cluster's nodes, and why, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.membership.record import NAME

NOT_RECORDED: Final = "NotRecorded"
PEERS_OTHERWISE: Final = "PeeringDiffers"
Peering = Literal["kilo", "wireguard"]
_PEERING: Final[dict[Peering, str]] = {"kilo": "Kilo", "wireguard": "Heliograph's own agents"}
RefusedKind = Literal["cluster", "node", "peer"]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why something of an exporting cluster is not peered with, or not wholly.

    Attributes:
        exporting: The cluster concerned.
        kind: What is refused: the cluster, one of its nodes, or a Peer that would be made for it.
        name: Its name; of a Peer, the name of the one that stands in its way.
        reason: One CamelCase word.
        message: One sentence for people: what, where, whose, what was done, what to do.
    """

    exporting: ClusterId
    kind: RefusedKind
    name: str
    reason: str
    message: str


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """A node of an exporting cluster, as an importing one speaks of it."""

    importing: ClusterId
    exporting: ClusterId
    node: str

    def refuse(self, reason: str, why: str, remedy: str) -> Refusal:
        """Return the refusal of this node; `why` goes on after "announces"."""
        return Refusal(
            exporting=self.exporting,
            kind="node",
            name=self.node,
            reason=reason,
            message=f"node {self.node} of cluster {self.exporting} announces {why}; cluster "
            f"{self.importing} does not peer with it, and goes on with {self.exporting}'s other "
            f"nodes. {remedy}",
        )


def cluster_refusal(exporting: ClusterId, reason: str, message: str) -> Refusal:
    """Return that something of a whole cluster is not taken."""
    return Refusal(
        exporting=exporting, kind="cluster", name=exporting, reason=reason, message=message
    )


def not_recorded(importing: ClusterId, exporting: ClusterId, namespace: str) -> Refusal:
    """Return that nobody has written down yet whether a cluster takes part."""
    return cluster_refusal(
        exporting,
        NOT_RECORDED,
        f"cluster {exporting} is not in the record of cluster {importing}, so its nodes get no "
        f"tunnels here yet: {importing}'s reflector writes down who takes part, in ConfigMap "
        f"{namespace}/{NAME}. See whether it runs, and what it says.",
    )


def peers_otherwise(
    importing: ClusterId, exporting: ClusterId, nodes: Sequence[str], ours: Peering
) -> Refusal:
    """Return that nodes peer by other means than those of the importing cluster."""
    theirs: Peering = "kilo" if ours == "wireguard" else "wireguard"
    rest = f" (and {len(nodes) - 1} more)" if len(nodes) > 1 else ""
    return cluster_refusal(
        exporting,
        PEERS_OTHERWISE,
        f"node {nodes[0]}{rest} of cluster {exporting} peers by {_PEERING[theirs]}, and cluster "
        f"{importing} by {_PEERING[ours]}: no tunnel joins them, and the rest goes on. Run the "
        f"same in both clusters (--backend of the peerer).",
    )


def foreign_peer(where: Where, peer: str) -> Refusal:
    """Return that somebody made a Peer with the node's key by hand."""
    return Refusal(
        exporting=where.exporting,
        kind="peer",
        name=peer,
        reason="ForeignPeer",
        message=f"Peer {peer} in cluster {where.importing} is not managed by us and holds the key "
        f"of node {where.node} of cluster {where.exporting}; it is left as it is and no second one "
        f"is made, since two Peers with one key break Kilo. 'heliograph adopt peers' takes it over "
        f"in place; or delete it.",
    )


def key_in_use(where: Where, peer: str, holder: ClusterId) -> Refusal:
    """Return that a Peer of ours, of another cluster, has the node's key still."""
    return Refusal(
        exporting=where.exporting,
        kind="peer",
        name=peer,
        reason="KeyInUse",
        message=f"Peer {peer} in cluster {where.importing}, which is set for cluster {holder}, has "
        f"the key of node {where.node} of cluster {where.exporting}; no second one is made, since "
        f"two Peers with one key break Kilo. It follows when {holder}'s Peer is gone; if {holder} "
        f"is, 'heliograph forget {holder}' ends that.",
    )


def range_taken(where: Where, cidr: str, peer: str, peer_cidr: str) -> Refusal:
    """Return that a Peer of somebody else has addresses of a range already."""
    return Refusal(
        exporting=where.exporting,
        kind="peer",
        name=peer,
        reason="RangeTaken",
        message=f"{cidr} of cluster {where.exporting} is not routed from cluster "
        f"{where.importing}: Peer {peer}, which is not managed by us, has {peer_cidr} there and "
        f"was left as it is. Take that range from the Peer, or delete it.",
    )


def rejected(where: Where, peer: str, answer: str) -> Refusal:
    """Return that the API server does not take a Peer."""
    return Refusal(
        exporting=where.exporting,
        kind="peer",
        name=peer,
        reason="Rejected",
        message=f"Peer {peer} for node {where.node} of cluster {where.exporting} is not set in "
        f"cluster {where.importing}: its API server does not take it ({answer}). It is tried again "
        f"when the node changes, and once a minute.",
    )


def unresolvable(where: Where, host: str) -> Refusal:
    """Return that the name in a node's endpoint does not resolve in the importing cluster."""
    return where.refuse(
        "EndpointUnresolvable",
        f"the endpoint {host}, which does not resolve where {where.importing}'s peerer runs, and "
        f"one such name stops Kilo there on every node",
        "Mend the name, or set kilo.squat.ai/force-endpoint to an address; what stands of it stays "
        "as it is, and the name is looked up each minute.",
    )
