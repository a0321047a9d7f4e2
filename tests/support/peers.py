"""Builders of clusters whose nodes become Peers: a test names what matters to it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.overlaps import declared_spans
from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy
from heliograph.admission.spans import joined
from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import DNSOrIP, Peer, PeerEndpoint, PeerSpec
from heliograph.kube.objects import FIELD_MANAGER, ManagedField, ObjectMeta
from heliograph.marks import (
    MANAGED_BY_LABEL,
    MANAGER,
    SEGMENT_ANNOTATION,
    SOURCE_CLUSTER_LABEL,
)
from services.peerer.book import make_book
from services.peerer.judging import Here, Neighbour, make_here
from services.peerer.operations import CreatePeer, DeletePeer, Operation

HERE, EAST, SOUTH, WEST = map(ClusterId, ("here", "east", "south", "west"))
NUMBERS = {HERE: 0, EAST: 1, SOUTH: 2, WEST: 3}

ANNOUNCED = ClusterAnnounced(
    service_cidrs=("10.101.0.0/16",),
    pod_cidrs=("10.1.0.0/16",),
    tunnel_cidrs=("10.201.0.0/16",),
    peering="kilo",
)

Nodes = Mapping[str, NodeAnnounced]


def but(obj: Any, **changes: Any) -> Any:  # noqa: ANN401 - any Struct
    """Return the Struct with some fields changed."""
    return msgspec.structs.replace(obj, **changes)


def key(number: int, cluster: ClusterId = EAST) -> str:
    """Return the key of a cluster's node."""
    return base64.b64encode(bytes([NUMBERS[cluster] + 1, *[number] * 31])).decode()


def node(number: int = 1, cluster: ClusterId = EAST, **fields: Any) -> NodeAnnounced:  # noqa: ANN401
    """Return a node of a full mesh: pods 10.C.N.0/24, private IP 172.16.C.N, tunnel 10.20C."""
    at = NUMBERS[cluster]
    usual = {
        "public_key": key(number, cluster),
        "endpoint": f"203.0.113.{20 * at + number}:51820",
        "pod_cidrs": (f"10.{at}.{number}.0/24",),
        "private_ip": f"172.16.{at}.{number}",
        "tunnel_ip": f"10.{200 + at}.0.1/16",
        "granularity": "full",
    }
    return NodeAnnounced(**(usual | fields))


def nodes(count: int, cluster: ClusterId = EAST, **fields: Any) -> dict[str, NodeAnnounced]:  # noqa: ANN401
    """Return nodes n1, n2, … of a cluster."""
    return {f"n{n}": node(n, cluster, **fields) for n in range(1, count + 1)}


def declaration(cluster: ClusterId = EAST, **ranges: tuple[str, ...]) -> Declaration:
    """Return what a cluster declares: Services 10.10C, pods 10.C, tunnel 10.20C, each /16."""
    at = NUMBERS[cluster]
    usual = {
        "service_cidrs": (f"10.{100 + at}.0.0/16",),
        "pod_cidrs": (f"10.{at}.0.0/16",),
        "tunnel_cidrs": (f"10.{200 + at}.0.0/16",),
    }
    return Declaration(cluster=cluster, **(usual | ranges))


def neighbour(
    known: Nodes | None = None,
    cluster: ClusterId = EAST,
    **ranges: tuple[str, ...],
) -> Neighbour:
    """Return an exporting cluster; with one node, if none are given."""
    found = nodes(1, cluster) if known is None else known
    return Neighbour(declaration=declaration(cluster, **ranges), nodes=found)


def here(
    *neighbours: Neighbour, own: Nodes | None = None, admitted: tuple[str, ...] = PRIVATE_RANGES
) -> Here:
    """Return the importing cluster beside others; who comes first has the better right."""
    declared = (declaration(HERE), *(one.declaration for one in neighbours))
    spans = {one.cluster: declared_spans(one) for one in declared}
    taken = list(accumulate(spans.values(), lambda some, more: joined((*some, *more))))
    known = ((one.cluster, one.nodes) for one in neighbours)
    before = dict(zip(spans, taken, strict=True))
    return make_here(HERE, RangePolicy(admitted), before, make_book(((HERE, own or {}), *known)))


def spec(
    number: int = 1, *allowed: str, cluster: ClusterId = EAST, endpoint: str = "203.0.113.9"
) -> PeerSpec:
    """Return what a Peer is, with the key of a cluster's node."""
    return PeerSpec(
        public_key=key(number, cluster),
        allowed_ips=allowed or (f"10.{NUMBERS[cluster]}.{number}.0/24",),
        endpoint=PeerEndpoint(dns_or_ip=DNSOrIP(ip=endpoint), port=51820),
    )


def foreign(name: str, public_key: str, *allowed: str) -> Peer:
    """Return a Peer that somebody else has made."""
    made = PeerSpec(public_key=public_key, allowed_ips=allowed)
    return Peer(metadata=ObjectMeta(name=name, uid=name, resource_version="1"), spec=made)


def ours(
    name: str, segment: str, made: PeerSpec, *, cluster: ClusterId = EAST, version: str = "1"
) -> Peer:
    """Return a Peer of ours, as the API server has it."""
    metadata = ObjectMeta(
        name=name,
        uid=name,
        resource_version=version,
        labels={MANAGED_BY_LABEL: MANAGER, SOURCE_CLUSTER_LABEL: cluster},
        annotations={SEGMENT_ANNOTATION: segment},
        managed_fields=(ManagedField(manager=FIELD_MANAGER),),
    )
    return Peer(metadata=metadata, spec=made)


def words(operation: Operation) -> str:
    """Return an operation in words, without what is in it."""
    match operation:
        case CreatePeer(peer=peer):
            return f"create {peer.metadata.name}"
        case DeletePeer(metadata=metadata):
            return f"delete {metadata.name}"
        case _:
            return f"replace {operation.peer.metadata.name}"
