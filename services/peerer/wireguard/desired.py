"""The WireGuard peers that a node should have of one exporting cluster. Pure."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.admission.overlaps import declared_spans
from heliograph.admission.spans import Span, Spans, joined, span_of_text
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.wireguard.notation import parse_public_key
from services.peerer.book import Holder
from services.peerer.judging import Here, Neighbour, split_peering
from services.peerer.refusal import Refusal
from services.peerer.shared import shared_ranges
from services.peerer.wireguard.nodes import judge_nodes, reached_before, reached_in, tunnel_cidr_of

_FIRST: Final = operator.itemgetter(0)


class DesiredPeer(msgspec.Struct, frozen=True, kw_only=True):
    """One node of an exporting cluster, without the ranges that its nodes share.

    Attributes:
        node: Its name.
        public_key: Its present key.
        next_key: The key that it changes to; None while it does not.
        endpoint: "host:port" as announced, where the host may be a DNS name; None if it roams.
        ranges: What goes to this node alone: its pods, and its tunnel address; canonical.
        probe: The address that answers inside the tunnel; None if it has none.
    """

    node: str
    public_key: str
    next_key: str | None = None
    endpoint: str | None = None
    ranges: tuple[str, ...] = ()
    probe: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """All its keys, the present one first."""
        return (self.public_key, self.next_key) if self.next_key else (self.public_key,)


class DesiredPeers(msgspec.Struct, frozen=True, kw_only=True):
    """What should be of one exporting cluster.

    Attributes:
        exporting: The cluster.
        peers: By node.
        shared: Ranges that every peer offers, and one of them gets: those of cluster IPs.
        refusals: What is not taken, and why.
    """

    exporting: ClusterId
    peers: Mapping[str, DesiredPeer] = {}
    shared: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class Desiring:
    """Computes what should be, anew only for clusters of which something else is known now.

    One node changes often, and all of them are many. How a cluster is judged depends on others by
    their keys, their ranges, and by those of their endpoints that are in its own ranges.
    """

    def __init__(self) -> None:
        self._here: Here | None = None
        self._known: dict[ClusterId, tuple[Neighbour, Spans, DesiredPeers]] = {}

    def of(
        self, neighbours: Mapping[ClusterId, Neighbour], here: Here
    ) -> Mapping[ClusterId, DesiredPeers]:
        """Return what should be of each of these clusters."""
        before = self._known if self._here and _judge_alike(self._here, here) else {}
        reached = self._reached(neighbours, here)
        self._here, self._known = here, {}
        for cluster, neighbour in neighbours.items():
            known, within = before.get(cluster), reached.get(cluster, ())
            if known is None or known[:2] != (neighbour, within):
                known = _standing_still(neighbour), within, desire_peers(neighbour, here)
            self._known[cluster] = known
        return {cluster: desired for cluster, (*_, desired) in self._known.items()}

    def _reached(
        self, neighbours: Mapping[ClusterId, Neighbour], here: Here
    ) -> Mapping[ClusterId, Spans]:
        """Return by cluster which endpoints of clusters with a better right are in its ranges."""
        rank = {cluster: number for number, cluster in enumerate(here.book.order)}
        ranges = sorted(
            (*span, cluster)
            for cluster, neighbour in neighbours.items()
            for span in joined(declared_spans(neighbour.declaration))
        )
        found: dict[ClusterId, list[Span]] = {}
        for cidr, holder in here.book.endpoints.items():
            span = span_of_text(cidr)
            at = bisect_right(ranges, span[0], key=_FIRST) - 1
            if at < 0 or ranges[at][1] < span[0]:
                continue
            cluster = ranges[at][2]
            if holder.cluster != here.cluster and rank[holder.cluster] < rank.get(cluster, -1):
                found.setdefault(cluster, []).append(span)
        return {cluster: joined(spans) for cluster, spans in found.items()}


def _judge_alike(one: Here, other: Here) -> bool:
    """Tell whether nodes are judged by both in the same way."""
    same = one.policy is other.policy and one.before == other.before
    return same and one.book.keys == other.book.keys and one.own == other.own


def _standing_still(neighbour: Neighbour) -> Neighbour:
    """Return a cluster as it is now; its table goes on."""
    return msgspec.structs.replace(neighbour, nodes=dict(neighbour.nodes))


def desire_peers(neighbour: Neighbour, here: Here) -> DesiredPeers:
    """Return the peers of one admitted cluster."""
    neighbour, otherwise = split_peering(neighbour, here, "wireguard")
    nodes = neighbour.nodes
    reached = reached_before(here, neighbour.cluster)
    refused = judge_nodes(neighbour, here, reached)
    shared, not_shared = shared_ranges(
        neighbour,
        here,
        reached=reached,
        reached_in=lambda span: reached_in(here, neighbour.cluster, span),
    )
    holders = {n: Holder(cluster=neighbour.cluster, node=n) for n in nodes if n not in refused}
    peers = {name: _peer(holder, nodes[name], here) for name, holder in holders.items()}
    return DesiredPeers(
        exporting=neighbour.cluster,
        peers=peers,
        shared=shared,
        refusals=(*refused.values(), *not_shared, *otherwise),
    )


def _peer(holder: Holder, node: NodeAnnounced, here: Here) -> DesiredPeer:
    tunnel = tunnel_cidr_of(node)
    return DesiredPeer(
        node=holder.node,
        public_key=node.public_key,
        next_key=_next_key(holder, node, here),
        endpoint=node.endpoint,
        ranges=(*node.pod_cidrs, *((tunnel,) if tunnel else ())),
        probe=tunnel.partition("/")[0] if tunnel else None,
    )


def _next_key(holder: Holder, node: NodeAnnounced, here: Here) -> str | None:
    """Return the key that a node changes to; None for one that is unusable, or somebody's."""
    key = node.next_public_key
    if key is None or key == node.public_key or parse_public_key(key) != key:
        return None
    return key if here.book.keys.get(key) == holder else None
