"""Many clusters with many nodes, as their watchers would announce them. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Final

from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced
from heliograph.contract.names import ClusterId

_PORT: Final = 51820


def cluster_name(cluster: int) -> ClusterId:
    """Return the id of a cluster, counted from 0."""
    return ClusterId(f"east-{cluster}")


def announced_cluster(cluster: int) -> ClusterAnnounced:
    """Return a cluster with ranges that no other one has, large enough for its nodes."""
    pods = tuple(f"10.{4 * cluster + part}.0.0/16" for part in range(4))
    return ClusterAnnounced(
        uid=cluster_name(cluster),
        service_cidrs=(f"10.{100 + cluster}.0.0/16",),
        pod_cidrs=pods,
        tunnel_cidrs=(f"100.{64 + cluster}.0.0/16",),
        peering="kilo",
        lease_s=3600,
    )


def announced_node(cluster: int, node: int, *, endpoint: str = "") -> NodeAnnounced:
    """Return a node of a cluster, both counted from 0; ready, and a part of the mesh by itself."""
    key = hashlib.sha256(f"{cluster}/{node}".encode()).digest()
    high, low = divmod(node, 250)
    return NodeAnnounced(
        public_key=base64.b64encode(key).decode(),
        endpoint=endpoint or f"203.{cluster}.{high}.{low + 1}:{_PORT}",
        pod_cidrs=(f"10.{4 * cluster + node // 256}.{node % 256}.0/24",),
        private_ip=f"172.{16 + cluster}.{high}.{low + 1}",
        tunnel_ip=f"100.{64 + cluster}.{node // 256}.{node % 256}/16",
        granularity="full",
    )


def announced_nodes(cluster: int, nodes: int) -> Iterator[tuple[str, NodeAnnounced]]:
    """Yield so many nodes of a cluster with their names."""
    return ((node_name(number), announced_node(cluster, number)) for number in range(nodes))


def node_name(node: int) -> str:
    """Return the name of a node, counted from 0; clusters have nodes of the same names."""
    return f"node-{node}"
