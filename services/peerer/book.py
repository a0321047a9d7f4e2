"""Whose each key and each node address is, when several nodes announce the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId


class Holder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node, with its cluster."""

    cluster: ClusterId
    node: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Who was first.

    Attributes:
        keys: By public key.
        addresses: By private IP.
    """

    keys: Mapping[str, Holder] = {}
    addresses: Mapping[str, Holder] = {}


def make_book(clusters: Iterable[tuple[ClusterId, Mapping[str, NodeAnnounced]]]) -> Book:
    """Return the book of all nodes of all clusters.

    Args:
        clusters: With their nodes by name; who comes before has the better right, so the importing
            cluster is first, and the others follow as they were admitted. In one cluster, the
            first name has.
    """
    keys: dict[str, Holder] = {}
    addresses: dict[str, Holder] = {}
    for cluster, nodes in clusters:
        for name in sorted(nodes):
            node, holder = nodes[name], Holder(cluster=cluster, node=name)
            keys.setdefault(node.public_key, holder)
            if node.private_ip:
                addresses.setdefault(node.private_ip, holder)
    return Book(keys=keys, addresses=addresses)
