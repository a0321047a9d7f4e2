"""The tunnel address of a node: stable, and chosen without asking anybody. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final

from heliograph.contract.names import ClusterId
from heliograph.kilo.addresses import host_cidr

SHARED_SPACE: Final = ipaddress.IPv4Network("100.64.0.0/10")
"""RFC 6598: used by no cluster's pods and Services by default, and routed by nobody else."""

_BLOCK_BITS: Final = 20
_IPV4: Final = 4


def derived_range(cluster: ClusterId) -> str:
    """Return the tunnel range of a cluster that was given none: one of 1,024 blocks of /20.

    Two clusters with one block are an overlap like any other, and are told so.
    """
    blocks = 1 << (_BLOCK_BITS - SHARED_SPACE.prefixlen)
    first = int(SHARED_SPACE.network_address)
    number = _number(cluster, blocks)
    return f"{ipaddress.IPv4Address(first + (number << (32 - _BLOCK_BITS)))}/{_BLOCK_BITS}"


def host_range(interface: str) -> str:
    """Return the address of "address/mask" as /32 or /128."""
    return host_cidr(ipaddress.ip_interface(interface).ip)


def choose_address(
    cidr: str, node: str, *, taken: Mapping[str, str], standing: str | None = None
) -> str:
    """Return the tunnel address of a node, with the mask of the whole range.

    Args:
        cidr: The tunnel range of its cluster, canonical.
        node: Its name.
        taken: By address (without mask), the other node of this cluster that announces it.
        standing: What the node announces now, with its mask. It stays, unless it is outside of the
            range, or a node with a smaller name has it: one of two must go.
    """
    network = ipaddress.ip_network(cidr)
    if standing is not None:
        address = ipaddress.ip_interface(standing).ip
        holder = taken.get(str(address))
        if address in network and (holder is None or holder > node):
            return f"{address}/{network.prefixlen}"
    free = (one for one in _candidates(network, node) if one not in taken)
    return f"{next(free)}/{network.prefixlen}"


def _candidates(network: ipaddress.IPv4Network | ipaddress.IPv6Network, node: str) -> Iterator[str]:
    """Yield the addresses that a node asks for, one after another, for ever."""
    edges = 2 if network.version == _IPV4 and network.num_addresses > 2 else 0  # noqa: PLR2004
    places = network.num_addresses - edges
    for attempt in count():
        place = _number(f"{node}\0{attempt}", places)
        yield str(network.network_address + place + edges // 2)


def _number(text: str, below: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest) % below
