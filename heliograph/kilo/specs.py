"""From a segment of a mesh to the Peer that it is in other clusters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from heliograph.errors import InputError
from heliograph.kilo.addresses import parse_cidr
from heliograph.kilo.mesh import OURS, Mesh, MeshRules, Nodes, Segment, place_of
from heliograph.kilo.peer import DNSOrIP, PeerEndpoint, PeerSpec
from heliograph.kilo.reach import Reach, reach_of

KEEPALIVE_S: Final = 25
"""For a peer behind NAT that states none: below the 30 s after which NAT may forget (wg(8))."""


def peer_spec(segment: Segment, nodes: Nodes, rules: MeshRules = OURS) -> PeerSpec:
    """Return what the Peer of a segment should be, without ranges that segments share.

    Args:
        segment: One of the mesh of these nodes.
        nodes: The announced nodes of its cluster.
        rules: Where to deviate from kgctl; those by which the mesh was computed.

    Returns:
        Allowed IPs in kgctl's order: for each node its pod range and its private IP, then the
        address in the tunnel; canonical, none twice, at least one. Never a preshared key.
    """
    leader, reach = nodes[segment.leader], _reach(nodes, segment.leader)
    return PeerSpec(
        allowed_ips=tuple(dict.fromkeys(_allowed_ips(segment, nodes, rules))),
        endpoint=PeerEndpoint(
            dns_or_ip=DNSOrIP(ip=reach.host) if reach.place else DNSOrIP(dns=reach.host),
            port=reach.port,
        ),
        persistent_keepalive=_keepalive_s(leader.persistent_keepalive, reach, rules),
        public_key=leader.public_key,
    )


def unrouted_addresses(mesh: Mesh, nodes: Nodes) -> set[str]:
    """Return the nodes whose private IP is in no Peer: it is where their leader's endpoint is."""
    unrouted: set[str] = set()
    for segment in mesh.segments:
        own = _endpoint_cidr(segment, nodes, OURS)
        unrouted |= {name for name in segment.nodes if _reach(nodes, name).private_cidr == own}
    return unrouted


def with_extras(spec: PeerSpec, extras: Iterable[str]) -> PeerSpec:
    """Return the Peer with more allowed IPs at the end: masked, in their order, none twice.

    Raises:
        InputError: One is no range with a mask.
    """
    added = tuple(map(parse_extra, extras))
    if not added:
        return spec
    given = (*spec.allowed_ips, *added)
    return msgspec.structs.replace(spec, allowed_ips=tuple(dict.fromkeys(given)))


def parse_extra(text: str) -> str:
    """Return a range in canonical form.

    Raises:
        InputError: It is none, or has no mask.
    """
    cidr = parse_cidr(text)
    if cidr is None:
        message = (
            f"{text!r} is no range of addresses: give an address and the length of its mask, such "
            f"as 10.43.0.0/16 or fd00:43::/112."
        )
        raise InputError(message)
    return cidr


def _allowed_ips(segment: Segment, nodes: Nodes, rules: MeshRules) -> Iterator[str]:
    """Yield the ranges; only a private IP may be the endpoint's own address, and be left out."""
    own = _endpoint_cidr(segment, nodes, rules) if rules.drop_endpoint_address else None
    for name in segment.nodes:
        reach = _reach(nodes, name)
        yield reach.pod_cidr
        if reach.private_cidr and reach.private_cidr != own:
            yield reach.private_cidr
    if segment.tunnel_ip:
        yield f"{segment.tunnel_ip}/{128 if ':' in segment.tunnel_ip else 32}"


def _endpoint_cidr(segment: Segment, nodes: Nodes, rules: MeshRules) -> str | None:
    place = place_of(_reach(nodes, segment.leader), rules)
    return place.cidr if place else None


def _keepalive_s(stated_s: int, reach: Reach, rules: MeshRules) -> int:
    """Return the interval: not 0 lets the peer roam, which one behind NAT does."""
    if not rules.keepalive:
        return 0
    place = place_of(reach, rules)
    return stated_s or (KEEPALIVE_S if place and place.behind_nat else 0)


def _reach(nodes: Nodes, name: str) -> Reach:
    reach = reach_of(nodes[name])
    assert reach is not None  # noqa: S101 - a mesh holds no others
    return reach
