"""Where a node and its pods are reached: what its mesh and its Peer need, parsed once. Pure."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo.addresses import (
    IPAddress,
    host_cidr,
    host_cidr_of,
    is_behind_nat,
    is_public,
    parse_address,
    parse_cidr,
)
from heliograph.wireguard.notation import parse_endpoint, parse_public_key

_NODES_KEPT = 16384
"""As many as the largest ClusterSets have; each change of one node parses that node only."""


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The address of an endpoint.

    Attributes:
        cidr: As /32 or /128.
        public: Whether Kilo takes it for a public one.
        behind_nat: Whether NAT hides it.
    """

    cidr: str
    public: bool
    behind_nat: bool


class Reach(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node that is fit to be a peer.

    Attributes:
        host: Of its endpoint: an address in canonical form, or a DNS name.
        port: Of its endpoint.
        place: Where that is; None where it is a name.
        resolved: Where a name is to the node's own cluster; None if that is unknown, and where the
            host is an address.
        pod_cidr: The first range of its pods; Kilo routes no other one.
        private_cidr: Its private IP as /32 or /128; None if it has none.
        tunnel_cidr: The Kilo subnet as this node states it; None if it does not.
    """

    host: str
    port: int
    place: Place | None
    resolved: Place | None
    pod_cidr: str
    private_cidr: str | None
    tunnel_cidr: str | None


@lru_cache(maxsize=_NODES_KEPT)
def reach_of(node: NodeAnnounced) -> Reach | None:
    """Return where a node is reached; None for one that Kilo would never call ready.

    All texts come from another cluster: one that does not parse counts as missing.
    """
    pod_cidr = parse_cidr(node.pod_cidrs[0]) if node.pod_cidrs else None
    if node.endpoint is None or pod_cidr is None or not is_ready(node):
        return None
    host, _, port = node.endpoint.rpartition(":")
    address = parse_address(host.strip("[]"))
    return Reach(
        host=str(address or host),
        port=int(port),
        place=_place(address),
        resolved=None if address else _place(parse_address(node.endpoint_ip or "")),
        pod_cidr=pod_cidr,
        private_cidr=private_cidr_of(node),
        tunnel_cidr=parse_cidr(node.tunnel_ip or ""),
    )


def is_ready(node: NodeAnnounced) -> bool:
    """Tell whether a node is fit to be a peer: it has a key, an endpoint and a pod range.

    A key in another spelling than the canonical one is none: Kilo would take it for the same key.
    """
    return (
        bool(node.pod_cidrs)
        and parse_endpoint(node.endpoint or "") is not None
        and parse_cidr(node.pod_cidrs[0]) is not None
        and parse_public_key(node.public_key) == node.public_key
    )


def private_cidr_of(node: NodeAnnounced) -> str | None:
    """Return the private IP of a node as /32 or /128; None if it has none that can be read."""
    return host_cidr_of(node.private_ip) if node.private_ip else None


def endpoint_cidr_of(node: NodeAnnounced) -> str | None:
    """Return where a node that is ready is reached, as /32 or /128; None if that is not known."""
    if node.endpoint is None or not is_ready(node):
        return None
    host = node.endpoint.rpartition(":")[0].strip("[]")
    return host_cidr_of(host) or host_cidr_of(node.endpoint_ip or "")


def _place(address: IPAddress | None) -> Place | None:
    if address is None:
        return None
    return Place(
        cidr=host_cidr(address), public=is_public(address), behind_nat=is_behind_nat(address)
    )
