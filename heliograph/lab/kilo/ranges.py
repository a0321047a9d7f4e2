"""Nodes for the laboratory's clusters, in ranges that no two of them share. Pure.

Nothing is ever sent there. Endpoints are addresses for documentation (RFC 5737).
"""

from __future__ import annotations

import ipaddress
from typing import Final

from heliograph.errors import InputError
from heliograph.lab.kilo.node import KiloNode

MOST_NODES: Final = 126
_PODS: Final = ipaddress.IPv4Network("10.128.0.0/9")
_TUNNELS: Final = ipaddress.IPv4Network("10.64.0.0/11")
_HOSTS: Final = ipaddress.IPv4Network("10.32.0.0/11")
_ENDPOINTS: Final = ipaddress.IPv4Network("203.0.113.0/24")
_CLUSTERS: Final = 256
_PORT: Final = 51820


def kilo_subnet(cluster: int) -> str:
    """Return the range of the tunnel addresses of a cluster, counted from 0."""
    return str(_share(_TUNNELS, cluster))


def kilo_nodes(cluster: int, count: int) -> tuple[KiloNode, ...]:
    """Return so many nodes for a cluster, counted from 0: n1, n2 and so on.

    Raises:
        InputError: Too few, or too many.
    """
    if not 1 <= count <= MOST_NODES:
        raise InputError(f"--nodes {count} cannot be: give a number from 1 to {MOST_NODES}")
    pods, hosts = _share(_PODS, cluster), _share(_HOSTS, cluster)
    return tuple(
        KiloNode(
            name=f"n{number + 1}",
            pod_cidr=f"{pods[number * 256]}/24",
            endpoint=f"{_ENDPOINTS[cluster % 254 + 1]}:{_PORT + number}",
            internal_ip=f"{hosts[number + 1]}/{hosts.prefixlen}",
        )
        for number in range(count)
    )


def _share(ranges: ipaddress.IPv4Network, cluster: int) -> ipaddress.IPv4Network:
    size = ranges.num_addresses // _CLUSTERS
    prefix = ranges.prefixlen + _CLUSTERS.bit_length() - 1
    return ipaddress.IPv4Network((int(ranges[cluster * size]), prefix))
