"""Kilo's mesh of one cluster: segments, their leaders, their addresses in the tunnel. Pure.

Computed from the announced nodes as `kgctl` 0.7.0 does, but for what `MeshRules` name.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.errors import TerminalError
from heliograph.kilo.reach import Place, Reach, reach_of

Granularity = Literal["", "location", "full"]
Nodes = Mapping[str, NodeAnnounced]
"""The announced nodes of one cluster, by name."""

T = TypeVar("T", bound=str)

_KILO_DEFAULT: Final = "10.4.0.0/16"
_POINT_TO_POINT: Final = 31


class MeshRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where Heliograph deviates from kgctl, each by a switch; the defaults are Heliograph's.

    Attributes:
        bridge_silence: A node that fell silent stays in its segment for its grace time.
        resolve_names: A DNS endpoint counts by the address that it has in its own cluster, as with
            Kilo's agent; kgctl takes none for public.
        guess_subnet: Where no node states Kilo's subnet, take Kilo's default for it.
        spare_broadcast: The broadcast address is nobody's, and too many segments are no error.
        drop_endpoint_address: The address of the endpoint is no allowed IP: the route to it would
            lead through the tunnel itself.
        keepalive: A peer behind NAT gets a keepalive interval.
    """

    bridge_silence: bool = True
    resolve_names: bool = True
    guess_subnet: bool = False
    spare_broadcast: bool = True
    drop_endpoint_address: bool = True
    keepalive: bool = True


OURS: Final = MeshRules()
AS_KGCTL: Final = MeshRules(
    bridge_silence=False,
    resolve_names=False,
    guess_subnet=True,
    spare_broadcast=False,
    drop_endpoint_address=False,
    keepalive=False,
)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the mesh that one node leads, and that is one Peer in other clusters.

    Attributes:
        name: "location:LOCATION" or "node:NAME".
        nodes: Names of its nodes in byte order.
        leader: Name of the node whose key and endpoint are the Peer's.
        ready: Whether any of its nodes is.
        tunnel_ip: The leader's address in the tunnel; None if it has none, or none is known.
    """

    name: str
    nodes: tuple[str, ...]
    leader: str
    ready: bool
    tunnel_ip: str | None = None


class Mesh(msgspec.Struct, frozen=True, kw_only=True):
    """The mesh of one cluster.

    Attributes:
        granularity: What a segment is; empty if the mesh has none.
        tunnel_cidr: Kilo's subnet; None if it is unknown.
        segments: In kgctl's order, that of their names.
    """

    granularity: Granularity = ""
    tunnel_cidr: str | None = None
    segments: tuple[Segment, ...] = ()


class GranularityUnknown(TerminalError):
    """The nodes of a cluster do not say, or do not agree, what a segment of their mesh is."""

    def __init__(self, stated: Sequence[str]) -> None:
        found = f"say both {' and '.join(stated)}" if stated else "say neither location nor full"
        super().__init__(
            f"Kilo's mesh granularity cannot be determined: the nodes {found} (annotation "
            f"kilo.squat.ai/granularity); wait until Kilo's agents agree, or state it."
        )
        self.stated = tuple(stated)


class TunnelRangeExhausted(TerminalError):
    """kgctl finds no address in the tunnel for one more segment."""

    def __init__(self, tunnel_cidr: str, segments: int) -> None:
        super().__init__(
            f"Kilo's subnet {tunnel_cidr} has too few addresses for {segments} segments; "
            f"start Kilo's agents with a larger --subnet."
        )
        self.tunnel_cidr, self.segments = tunnel_cidr, segments


def mesh_of(nodes: Nodes, *, granularity: Granularity = "", rules: MeshRules = OURS) -> Mesh:
    """Return the mesh of one cluster; an empty one if none of its nodes is fit to be a peer.

    Args:
        nodes: All announced nodes; those unfit to be peers are left out.
        granularity: What to take instead of what the nodes state; empty to take theirs.
        rules: Where to deviate from kgctl.

    Kilo's subnet is the one that most nodes state, among equals the first in the order of text;
    what nodes that fell silent state, this and the granularity, counts only where no other does.
    Addresses are positions: the n-th ready segment has the n-th address of the subnet. A silent
    node leads only where no other can, and a segment of such nodes has no address.

    Raises:
        GranularityUnknown: None is given, and the nodes state none, or not all the same one.
        TunnelRangeExhausted: As kgctl, and one segment more than that would have no address.
    """
    reaches = {name: reach for name, node in nodes.items() if (reach := reach_of(node))}
    tunnel_cidr = _tunnel_cidr(nodes, reaches, rules)
    if not rules.bridge_silence:
        reaches = {name: reach for name, reach in reaches.items() if nodes[name].ready}
    if not reaches:
        return Mesh(tunnel_cidr=tunnel_cidr)
    granularity = granularity or _stated_granularity(nodes)
    segments = tuple(_segments(nodes, reaches, granularity, rules))
    return Mesh(
        granularity=granularity,
        tunnel_cidr=tunnel_cidr,
        segments=_with_tunnel_ips(segments, tunnel_cidr, rules),
    )


def place_of(reach: Reach, rules: MeshRules) -> Place | None:
    """Return where an endpoint is, as far as the rules let it be known."""
    return reach.place or (reach.resolved if rules.resolve_names else None)


def _segments(
    nodes: Nodes, reaches: Mapping[str, Reach], granularity: Granularity, rules: MeshRules
) -> Iterator[Segment]:
    """Yield the segments of the nodes within reach, in the order of names."""
    members: dict[str, list[str]] = {}
    for name in sorted(reaches):
        alone = granularity == "full" or reaches[name].private_cidr is None
        segment = f"node:{name}" if alone else f"location:{nodes[name].location}"
        members.setdefault(segment, []).append(name)

    def tier(name: str) -> int:
        return _tier(nodes[name], reaches[name], rules)

    for segment in sorted(members):
        ready = [name for name in members[segment] if nodes[name].ready]
        yield Segment(
            name=segment,
            nodes=tuple(members[segment]),
            leader=min(ready or members[segment], key=tier),
            ready=bool(ready),
        )


def _tier(node: NodeAnnounced, reach: Reach, rules: MeshRules) -> int:
    """Return how far back a node stands among those that may lead; the first of the best leads."""
    place = place_of(reach, rules)
    public = place is not None and place.public
    return 2 * (not node.leader) + (not public)


def _with_tunnel_ips(
    segments: tuple[Segment, ...], tunnel_cidr: str | None, rules: MeshRules
) -> tuple[Segment, ...]:
    """Return the segments with their addresses in the tunnel."""
    if tunnel_cidr is None:
        return segments
    ready = [segment.name for segment in segments if segment.ready]
    addresses = dict(zip(ready, _addresses(tunnel_cidr, len(ready), rules), strict=True))
    return tuple(
        msgspec.structs.replace(segment, tunnel_ip=addresses.get(segment.name))
        for segment in segments
    )


def _addresses(tunnel_cidr: str, wanted: int, rules: MeshRules) -> list[str | None]:
    """Return the addresses by position, None where the subnet has no more."""
    network = ipaddress.ip_network(tunnel_cidr)
    last = network.num_addresses - 1
    if rules.spare_broadcast:
        last -= network.version == 4 and network.prefixlen < _POINT_TO_POINT  # noqa: PLR2004
    elif wanted > last + 1:
        raise TunnelRangeExhausted(tunnel_cidr, wanted)
    return [str(network[n]) if n <= last else None for n in range(1, wanted + 1)]


def _tunnel_cidr(nodes: Nodes, reaches: Mapping[str, Reach], rules: MeshRules) -> str | None:
    by_node = {name: reach.tunnel_cidr for name, reach in reaches.items() if reach.tunnel_cidr}
    stated = Counter(_of_the_ready(nodes, by_node))
    if not stated:
        return _KILO_DEFAULT if rules.guess_subnet else None
    return min(stated, key=lambda cidr: (-stated[cidr], cidr))


def _stated_granularity(nodes: Nodes) -> Granularity:
    by_node = {name: node.granularity for name, node in nodes.items() if node.granularity}
    stated = sorted(set(_of_the_ready(nodes, by_node)))
    if len(stated) != 1:
        raise GranularityUnknown(stated)
    return stated[0]


def _of_the_ready(nodes: Nodes, by_node: Mapping[str, T]) -> list[T]:
    """Return what ready nodes state; what silent ones do if no ready one states anything."""
    ready = [stated for name, stated in by_node.items() if nodes[name].ready]
    return ready or list(by_node.values())
