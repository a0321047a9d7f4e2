"""The Peers that an importing cluster should have of one exporting cluster. Pure.

Positions in a mesh count every ready node, refused ones too: the exporting cluster gives addresses
without asking. So the mesh is computed first, and what is refused is left out after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.spans import covers, network_of, span_of, spans_of
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.errors import TerminalError
from heliograph.kilo.mesh import Mesh, Segment, mesh_of
from heliograph.kilo.peer import PeerSpec
from heliograph.kilo.specs import peer_spec
from services.peerer.nodes import Here, Neighbour, judge_nodes
from services.peerer.refusal import Refusal

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
        shared: Ranges that every Peer offers, and one of them gets: those of cluster IPs.
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
    mesh = _with_declared_addresses(mesh, neighbour.declaration)
    peers = (_peer(segment, nodes, refused, here) for segment in mesh.segments)
    return DesiredPeers(
        exporting=neighbour.cluster,
        peers=tuple(peer for peer in peers if peer is not None),
        shared=tuple(filter(here.policy.admits_range, neighbour.declaration.service_cidrs)),
        refusals=(*refused.values(), *_not_admitted(neighbour, here)),
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


def _with_declared_addresses(mesh: Mesh, declaration: Declaration) -> Mesh:
    """Leave tunnel addresses out that are in no range which the cluster declares for them."""
    network = network_of(mesh.tunnel_cidr) if mesh.tunnel_cidr else None
    declared = spans_of(declaration.tunnel_cidrs)
    if network is None or covers(declared, (span_of(network),)):
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


def _not_admitted(neighbour: Neighbour, here: Here) -> tuple[Refusal, ...]:
    """Return a refusal for each service range that is outside of the admitted ones."""
    exporting, importing = neighbour.cluster, here.cluster
    return tuple(
        Refusal(
            exporting=exporting,
            kind="cluster",
            name=exporting,
            reason="RangeNotAdmitted",
            message=f"cluster {exporting} announces cluster IPs in {cidr}, which is outside of the "
            f"ranges that cluster {importing} admits; they are not routed. Set admitted_ranges of "
            f"{importing}'s peerer and reflector, if that is right.",
        )
        for cidr in neighbour.declaration.service_cidrs
        if not here.policy.admits_range(cidr)
    )
