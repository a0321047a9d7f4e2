"""The tunnel address of a node: stable, and chosen without asking anybody. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from heliograph.contract.names import ClusterId
from heliograph.errors import InputError
from heliograph.kilo.addresses import host_cidr, parse_address

SHARED_SPACE: Final = ipaddress.IPv4Network("100.64.0.0/10")
"""RFC 6598: used by no cluster's pods and Services by default, and routed by nobody else."""

_BLOCK_BITS: Final = 20
_IPV4: Final = 4
_TRIES: Final = 64
"""Places that a name asks for before it takes the first free one, as two such names would meet."""


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

    Raises:
        InputError: The range is full.
    """
    network = ipaddress.ip_network(cidr)
    address = parse_address((standing or "").partition("/")[0])
    if address is not None and address in network:
        holder = taken.get(str(address))
        if holder is None or holder > node:
            return f"{address}/{network.prefixlen}"
    free = next((one for one in _candidates(network, node) if one not in taken), None)
    if free is None:
        raise InputError(
            f"the tunnel range {cidr} has no address left for node {node}: {len(taken)} other "
            f"nodes of its cluster have one; nothing is announced of it. Give all nodes' agents a "
            f"wider --tunnel-cidr"
        )
    return f"{free}/{network.prefixlen}"


def _candidates(network: ipaddress.IPv4Network | ipaddress.IPv6Network, node: str) -> Iterator[str]:
    """Yield the addresses that a node asks for, one after another: first some, then all."""
    edges = 2 if network.version == _IPV4 and network.num_addresses > 2 else 0  # noqa: PLR2004
    places = network.num_addresses - edges
    tried = (_number(f"{node}\0{attempt}", places) for attempt in range(_TRIES))
    for place in chain(tried, range(places)):
        yield str(network.network_address + place + edges // 2)


def _number(text: str, below: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest) % below
