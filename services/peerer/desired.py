"""The Peers that an importing cluster should have of one exporting cluster. Pure.

Positions in a mesh count every ready node, refused ones too: the exporting cluster gives addresses
without asking. So the mesh is computed first, and what is refused is left out after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.spans import (
    Spans,
    contains,
    joined,
    span_of_text,
    spans_of,
    without,
)
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.errors import TerminalError
from heliograph.kilo.mesh import Mesh, Segment, mesh_of
from heliograph.kilo.peer import PeerSpec
from heliograph.kilo.specs import peer_spec
from services.peerer.judging import Here, Neighbour, split_peering
from services.peerer.nodes import judge_nodes
from services.peerer.refusal import Refusal, cluster_refusal
from services.peerer.shared import shared_ranges

_NO_MESH: Final = Mesh()


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
    neighbour, otherwise = split_peering(neighbour, here, "kilo")
    nodes = neighbour.nodes
    try:
        mesh = mesh_of(nodes) if nodes else _NO_MESH
    except TerminalError as error:
        return DesiredPeers(
            exporting=neighbour.cluster,
            peers=None,
            refusals=(_no_mesh(neighbour.cluster, here.cluster, error),),
        )
    refused = judge_nodes(neighbour, here, mesh)
    shared, not_shared = shared_ranges(neighbour, here)
    mesh = _with_declared_addresses(mesh, neighbour.declaration, here.own)
    peers = (_peer(segment, nodes, refused, here) for segment in mesh.segments)
    return DesiredPeers(
        exporting=neighbour.cluster,
        peers=tuple(peer for peer in peers if peer is not None),
        shared=shared,
        refusals=(*refused.values(), *not_shared, *otherwise),
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
    return cluster_refusal(
        exporting,
        type(error).__name__,
        f"Peers of cluster {exporting} in cluster {importing} stay as they are. {error}",
    )
