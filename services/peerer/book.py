"""Whose each key and each node address is, when several nodes announce the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.reach import endpoint_cidr_of, private_cidr_of


class Holder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node, with its cluster."""

    cluster: ClusterId
    node: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Who was first.

    Attributes:
        keys: By public key, also by those that nodes are changing to.
        addresses: By private IP, as /32 or /128: one address has many spellings.
        endpoints: By the address of an endpoint, likewise.
        order: The clusters, those with the better right first.
        contested: Clusters with a node whose key or address another node announces too.
    """

    keys: Mapping[str, Holder] = {}
    addresses: Mapping[str, Holder] = {}
    endpoints: Mapping[str, Holder] = {}
    order: tuple[ClusterId, ...] = ()
    contested: frozenset[ClusterId] = frozenset()

    def elsewhere(self, cidr: str, cluster: ClusterId) -> Holder | None:
        """Return the node of a cluster with a better right whose endpoint has an address."""
        first = self.endpoints.get(cidr)
        if first is None or first.cluster not in takewhile(cluster.__ne__, self.order):
            return None
        return first


def make_book(clusters: Iterable[tuple[ClusterId, Mapping[str, NodeAnnounced]]]) -> Book:
    """Return the book of all nodes of all clusters.

    Args:
        clusters: With their nodes by name; who comes before has the better right, so the importing
            cluster is first, and the others follow as they were admitted. In one cluster, the
            first name has.
    """
    keys: dict[str, Holder] = {}
    addresses: dict[str, Holder] = {}
    endpoints: dict[str, Holder] = {}
    order: list[ClusterId] = []
    contested: set[ClusterId] = set()
    for cluster, nodes in clusters:
        order.append(cluster)
        for name in sorted(nodes):
            node, holder = nodes[name], Holder(cluster=cluster, node=name)
            first = keys.setdefault(node.public_key, holder)
            address = private_cidr_of(node)
            there = addresses.setdefault(address, holder) if address else holder
            if first is not holder or there is not holder:
                contested |= {cluster, first.cluster, there.cluster}
            if (endpoint := endpoint_cidr_of(node)) is not None:
                endpoints.setdefault(endpoint, holder)
        contested |= _add_next_keys(keys, cluster, nodes)
    for cidr in addresses.keys() & endpoints.keys():
        both = {addresses[cidr].cluster, endpoints[cidr].cluster}
        contested |= both if len(both) > 1 else set()
    return Book(
        keys=keys,
        addresses=addresses,
        endpoints=endpoints,
        order=tuple(order),
        contested=frozenset(contested),
    )


def _add_next_keys(
    keys: dict[str, Holder], cluster: ClusterId, nodes: Mapping[str, NodeAnnounced]
) -> set[ClusterId]:
    """Add the keys that nodes change to; return the clusters that want one of somebody else.

    They come after the present ones of their cluster: nobody loses a key by another one's plans.
    """
    contested: set[ClusterId] = set()
    for name in sorted(nodes):
        if (key := nodes[name].next_public_key) is not None:
            holder = Holder(cluster=cluster, node=name)
            first = keys.setdefault(key, holder)
            contested |= {cluster, first.cluster} if first != holder else set()
    return contested
