"""Whose each key and each node address is, when several nodes announce the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.reach import private_cidr_of


class Holder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node, with its cluster."""

    cluster: ClusterId
    node: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Who was first.

    Attributes:
        keys: By public key.
        addresses: By private IP, as /32 or /128: one address has many spellings.
        contested: Clusters with a node whose key or address another node announces too.
    """

    keys: Mapping[str, Holder] = {}
    addresses: Mapping[str, Holder] = {}
    contested: frozenset[ClusterId] = frozenset()


def make_book(clusters: Iterable[tuple[ClusterId, Mapping[str, NodeAnnounced]]]) -> Book:
    """Return the book of all nodes of all clusters.

    Args:
        clusters: With their nodes by name; who comes before has the better right, so the importing
            cluster is first, and the others follow as they were admitted. In one cluster, the
            first name has.
    """
    keys: dict[str, Holder] = {}
    addresses: dict[str, Holder] = {}
    contested: set[ClusterId] = set()
    for cluster, nodes in clusters:
        for name in sorted(nodes):
            node, holder = nodes[name], Holder(cluster=cluster, node=name)
            first = keys.setdefault(node.public_key, holder)
            address = private_cidr_of(node)
            there = addresses.setdefault(address, holder) if address else holder
            if first is not holder or there is not holder:
                contested |= {cluster, first.cluster, there.cluster}
    return Book(keys=keys, addresses=addresses, contested=frozenset(contested))
