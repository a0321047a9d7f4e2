"""A node as Kilo's agent describes it, and the agent's part of its annotations. Pure.

Source: Kilo 0.7, pkg/k8s/backend.go (the annotations) and pkg/mesh/topology.go (the addresses).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

import msgspec

from heliograph.kilo.facts import PREFIX

V = TypeVar("V")

AGENTS_ANNOTATIONS: Final = (
    *("endpoint", "internal-ip", "key", "last-seen", "wireguard-ip"),
    *("discovered-endpoints", "granularity"),
)
"""What Kilo's agent removes when it stops in good order, and writes again when it starts."""


class KiloNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a mesh.

    Attributes:
        name: Its name in Kubernetes.
        pod_cidr: Range of its pods; empty when it has none (then Kilo never counts it as ready).
        endpoint: "host:port" at which other nodes reach its WireGuard interface.
        internal_ip: Its private address with the mask of its interface; empty for none.
        location: Nodes of one location share a leader, with that granularity.
        granularity: How the mesh is built.
        key: Public key, base64 of 32 bytes; empty for one that the laboratory chooses.
        more: Further annotations, as people write them, without Kilo's prefix.
    """

    name: str
    pod_cidr: str
    endpoint: str
    internal_ip: str = ""
    location: str = ""
    granularity: Literal["location", "full"] = "full"
    key: str = ""
    more: Mapping[str, str] = {}

    def annotations(self, tunnel_ip: str, seen_s: float) -> dict[str, str]:
        """Return what the agent writes; `seen_s` are seconds since the Unix epoch."""
        said = {
            "endpoint": self.endpoint,
            "internal-ip": self.internal_ip,
            "key": self.key,
            "last-seen": str(int(seen_s)),
            "wireguard-ip": tunnel_ip,
            "discovered-endpoints": "{}",
            "granularity": self.granularity,
        }
        return prefixed(said)

    def peoples_annotations(self) -> dict[str, str]:
        """Return what stays when the agent stops."""
        placed = {"location": self.location} if self.location else {}
        return prefixed(placed | dict(self.more))


def tunnel_ips(nodes: Iterable[KiloNode], subnet: str) -> dict[str, str]:
    """Return the tunnel address of each node's interface, with the mask of `subnet`.

    The n-th segment of the mesh has the n-th address, and its first node by name carries it; the
    others have none (""). So a node that comes or goes moves the addresses of those behind it.
    """
    first: dict[tuple[str, str], str] = {}
    ordered = sorted(nodes, key=lambda node: node.name.encode())
    for node in ordered:
        first.setdefault(_segment(node), node.name)
    network = ipaddress.ip_network(subnet)
    addresses = {
        name: f"{network[number + 1]}/{network.prefixlen}"
        for number, (_, name) in enumerate(sorted(first.items()))
    }
    return {node.name: addresses.get(node.name, "") for node in ordered}


def prefixed(said: Mapping[str, V]) -> dict[str, V]:
    """Return annotations under their full names; None stands for one to remove."""
    return {f"{PREFIX}{name}": value for name, value in said.items()}


def _segment(node: KiloNode) -> tuple[str, str]:
    """Return what sorts as Kilo sorts: locations before single nodes."""
    if node.granularity == "location" and node.internal_ip:
        return ("location", node.location)
    return ("node", node.name)
