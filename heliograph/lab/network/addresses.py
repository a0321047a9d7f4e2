"""Who has which address in a laboratory's network. Pure.

Nothing of it ever leaves the network's namespaces. Ranges that the machine uses are avoided all
the same: whoever reads a capture or a log shall not have to guess which of two networks it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Final

import msgspec

from heliograph.errors import InputError
from heliograph.lab.network.spec import ClusterSpec, LaboratorySpec

DNS_NUMBER: Final = 10  # kubeadm's habit: the tenth cluster IP
FIRST_POD: Final = 2  # after the network's own address and the node's

_GATEWAY, _CONTROL_PLANE, _FIRST_NODE = 1, 2, 11
_BLOCK: Final = 16
_POOLS: Final = ("10.64.0.0/10", "10.128.0.0/9", "10.0.0.0/10", "172.16.0.0/12", "192.168.0.0/16")


class NodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A node's address and the range of its pods."""

    address: IPv4Address
    pods: IPv4Network


class ClusterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's ranges and addresses.

    Attributes:
        segment: The network (/24) of its nodes, its control plane and its gateway.
        gateway: The gateway's address there.
        control_plane: The control plane's address there.
        router, uplink: The addresses of the router's and the gateway's ends of their link (/30).
        pods: The range of all pods (/16).
        services: The range of cluster IPs (/20).
        nodes: By name.
    """

    segment: IPv4Network
    gateway: IPv4Address
    control_plane: IPv4Address
    router: IPv4Address
    uplink: IPv4Address
    pods: IPv4Network
    services: IPv4Network
    nodes: dict[str, NodePlan]

    @property
    def dns(self) -> IPv4Address:
        """The cluster IP of the Service kube-dns."""
        return self.services[DNS_NUMBER]


def plan_addresses(spec: LaboratorySpec, used: Iterable[IPv4Network]) -> dict[str, ClusterPlan]:
    """Return every cluster's plan, by name: ranges of RFC 1918 that overlap none of `used`.

    Raises:
        InputError: The machine uses so much of RFC 1918 that nothing is left.
    """
    blocks = _free_blocks(tuple(used), 2 + len(spec.clusters))
    underlay, services, *pods = blocks
    segments, links = underlay.subnets(new_prefix=24), _links(underlay)
    slices = services.subnets(new_prefix=20)
    return {
        cluster.name: _plan(cluster, next(segments), next(links), pods[number], next(slices))
        for number, cluster in enumerate(spec.clusters)
    }


def _plan(
    cluster: ClusterSpec,
    segment: IPv4Network,
    link: IPv4Network,
    pods: IPv4Network,
    services: IPv4Network,
) -> ClusterPlan:
    ranges = pods.subnets(new_prefix=24)
    next(ranges)  # .0.x looks too much like the range itself
    nodes = {
        node.name: NodePlan(address=segment[_FIRST_NODE + number], pods=next(ranges))
        for number, node in enumerate(cluster.nodes)
    }
    return ClusterPlan(
        segment=segment,
        gateway=segment[_GATEWAY],
        control_plane=segment[_CONTROL_PLANE],
        router=link[1],
        uplink=link[2],
        pods=pods,
        services=services,
        nodes=nodes,
    )


def _links(underlay: IPv4Network) -> Iterator[IPv4Network]:
    last = list(underlay.subnets(new_prefix=24))[-1]
    return last.subnets(new_prefix=30)


def _free_blocks(used: tuple[IPv4Network, ...], count: int) -> list[IPv4Network]:
    candidates = (
        block for pool in _POOLS for block in IPv4Network(pool).subnets(new_prefix=_BLOCK)
    )
    free = (block for block in candidates if not any(map(block.overlaps, used)))
    blocks = list(itertools.islice(free, count))
    if len(blocks) < count:
        raise InputError(
            f"the laboratory needs {count} ranges of /{_BLOCK} out of RFC 1918, and this machine "
            f"leaves {len(blocks)}: take routes away, or use another machine"
        )
    return blocks
