"""The Peers that an importing cluster should have of one exporting cluster. Pure.

Positions in a mesh count every ready node, refused ones too: the exporting cluster gives addresses
without asking. So the mesh is computed first, and what is refused is left out after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.spans import (
    Spans,
    contains,
    joined,
    span_of_text,
    spans_of,
    touches,
    without,
)
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.errors import TerminalError
from heliograph.kilo.addresses import parse_cidr
from heliograph.kilo.mesh import Mesh, Segment, mesh_of
from heliograph.kilo.peer import PeerSpec
from heliograph.kilo.specs import peer_spec
from services.peerer.nodes import Here, Neighbour, judge_nodes, own_addresses
from services.peerer.refusal import Refusal

_NO_MESH: Final = Mesh()
MAX_SHARED: Final = 32
"""Ranges of cluster IPs that are routed to one cluster: each costs a look at every node of it."""


class DesiredPeer(msgspec.Struct, frozen=True, kw_only=True):
    """One Peer, without the ranges that its cluster's Peers share.

    Attributes:
        segment: Which part of the exporting cluster's mesh it is.
        leader: The node whose key it has.
        healthy: Whether any of its nodes was heard lately.
        spec: What it should be.
    """

    segment: str
    leader: str
    healthy: bool
    spec: PeerSpec


class DesiredPeers(msgspec.Struct, frozen=True, kw_only=True):
    """What should be of one exporting cluster.

    Attributes:
        exporting: The cluster.
        peers: Its Peers, in the order of their segments; None if that cannot be told, and what
            stands stays as it is.
        shared: Ranges that every Peer offers, and one of them gets: those of cluster IPs. They are
            canonical, and none of them is inside another.
        refusals: What is not taken, and why.
    """

    exporting: ClusterId
    peers: tuple[DesiredPeer, ...] | None
    shared: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def desire_peers(neighbour: Neighbour, here: Here) -> DesiredPeers:
    """Return the Peers of one admitted cluster."""
    nodes = {name: node for name, node in neighbour.nodes.items() if node.peering == "kilo"}
    neighbour = msgspec.structs.replace(neighbour, nodes=nodes)
    try:
        mesh = mesh_of(nodes) if nodes else _NO_MESH
    except TerminalError as error:
        return DesiredPeers(
            exporting=neighbour.cluster,
            peers=None,
            refusals=(_no_mesh(neighbour.cluster, here.cluster, error),),
        )
    refused = judge_nodes(neighbour, here, mesh)
    shared, not_shared = _shared(neighbour, here)
    mesh = _with_declared_addresses(mesh, neighbour.declaration, own_addresses(here))
    peers = (_peer(segment, nodes, refused, here) for segment in mesh.segments)
    return DesiredPeers(
        exporting=neighbour.cluster,
        peers=tuple(peer for peer in peers if peer is not None),
        shared=shared,
        refusals=(*refused.values(), *not_shared),
    )


def _peer(
    segment: Segment,
    nodes: Mapping[str, NodeAnnounced],
    refused: Mapping[str, Refusal],
    here: Here,
) -> DesiredPeer | None:
    """Return the Peer of a segment; all goes through its leader, so without it there is none."""
    if segment.leader in refused:
        return None
    members = tuple(name for name in segment.nodes if name not in refused)
    spec = peer_spec(msgspec.structs.replace(segment, nodes=members), nodes)
    admitted = tuple(filter(here.policy.admits_range, spec.allowed_ips))
    return DesiredPeer(
        segment=segment.name,
        leader=segment.leader,
        healthy=segment.ready,
        spec=msgspec.structs.replace(spec, allowed_ips=admitted),
    )


def _with_declared_addresses(mesh: Mesh, declaration: Declaration, own: Spans) -> Mesh:
    """Leave tunnel addresses out unless their whole range is declared for that, and free."""
    if mesh.tunnel_cidr is None:
        return mesh
    taken = joined((*spans_of(declaration.service_cidrs), *own))
    free = without(spans_of(declaration.tunnel_cidrs), taken)
    if contains(free, span_of_text(mesh.tunnel_cidr)):
        return mesh
    bare = (msgspec.structs.replace(one, tunnel_ip=None) for one in mesh.segments)
    return msgspec.structs.replace(mesh, segments=tuple(bare))


def _no_mesh(exporting: ClusterId, importing: ClusterId, error: TerminalError) -> Refusal:
    return Refusal(
        exporting=exporting,
        kind="cluster",
        name=exporting,
        reason=type(error).__name__,
        message=f"Peers of cluster {exporting} in cluster {importing} stay as they are. {error}",
    )


def _shared(neighbour: Neighbour, here: Here) -> tuple[tuple[str, ...], tuple[Refusal, ...]]:
    """Return the Services' ranges that are routed, and a refusal for each of the others."""
    own = own_addresses(here)
    routed: list[str] = []
    refusals: list[Refusal] = []
    texts = neighbour.declaration.service_cidrs
    if len(texts) > MAX_SHARED:
        refusals.append(_too_many(neighbour.cluster, here.cluster, len(texts)))
    for text in texts[:MAX_SHARED]:
        cidr = parse_cidr(text)
        if cidr is None or not here.policy.admits_range(cidr):
            refusals.append(_not_admitted(neighbour.cluster, here.cluster, text))
        elif touches(own, span_of_text(cidr)):
            refusals.append(_around_our_nodes(neighbour.cluster, here.cluster, cidr))
        else:
            routed.append(cidr)
    return _outermost(routed), tuple(refusals)


def _outermost(cidrs: Iterable[str]) -> tuple[str, ...]:
    """Return the ranges that are inside of no other one, each once, in their order."""
    spans = {cidr: span_of_text(cidr) for cidr in cidrs}
    outer, reach = set(), -1
    for cidr, (_, last) in sorted(spans.items(), key=lambda item: (item[1][0], -item[1][1])):
        if last > reach:
            outer.add(cidr)
            reach = last
    return tuple(cidr for cidr in spans if cidr in outer)


def _not_admitted(exporting: ClusterId, importing: ClusterId, cidr: str) -> Refusal:
    return Refusal(
        exporting=exporting,
        kind="cluster",
        name=exporting,
        reason="RangeNotAdmitted",
        message=f"cluster {exporting} announces cluster IPs in {cidr}, which is outside of the "
        f"ranges that cluster {importing} admits; they are not routed. Set admitted_ranges of "
        f"{importing}'s peerer and reflector, if that is right.",
    )


def _too_many(exporting: ClusterId, importing: ClusterId, count: int) -> Refusal:
    return Refusal(
        exporting=exporting,
        kind="cluster",
        name=exporting,
        reason="TooManyRanges",
        message=f"cluster {exporting} announces {count} ranges of cluster IPs; cluster {importing} "
        f"routes the first {MAX_SHARED}. Set service_cidrs of {exporting}'s watcher to fewer and "
        f"wider ones.",
    )


def _around_our_nodes(exporting: ClusterId, importing: ClusterId, cidr: str) -> Refusal:
    return Refusal(
        exporting=exporting,
        kind="cluster",
        name=exporting,
        reason="RangeTaken",
        message=f"cluster {exporting} announces cluster IPs in {cidr}, where nodes of cluster "
        f"{importing} have their addresses; they are not routed. Set service_cidrs of "
        f"{exporting}'s watcher, if that is wrong, or give {exporting} another range.",
    )
