"""Which nodes of an exporting cluster are peered with: each claims no more than is its own. Pure.

A node that claims more is refused with the reason, and the rest of its cluster goes on.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping
from itertools import chain
from typing import Final

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.policy import RangePolicy
from heliograph.admission.spans import (
    Span,
    Spans,
    contains,
    span_of_text,
    spans_of,
    touches,
)
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.mesh import Mesh
from heliograph.kilo.reach import Reach, reach_of
from heliograph.kilo.specs import unrouted_addresses
from services.peerer.book import Book, Holder
from services.peerer.refusal import Refusal, Where

_FIRST: Final = operator.itemgetter(0)


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """The importing cluster, as far as it decides about peers.

    Attributes:
        cluster: Its id.
        policy: Which ranges it admits at all.
        taken: Addresses of its own ranges, and of all admitted clusters' ranges.
        book: Whose each key and node address is.
    """

    cluster: ClusterId
    policy: RangePolicy
    taken: Spans
    book: Book


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An exporting cluster that is admitted.

    Attributes:
        declaration: The ranges that it says are its own.
        nodes: What it announces, by name.
    """

    declaration: Declaration
    nodes: Mapping[str, NodeAnnounced]

    @property
    def cluster(self) -> ClusterId:
        """Its id."""
        return self.declaration.cluster


def judge_nodes(neighbour: Neighbour, here: Here, mesh: Mesh) -> dict[str, Refusal]:
    """Return the refusal of each node that is not peered with.

    Args:
        neighbour: The exporting cluster, with the nodes that its mesh was made of.
        here: The importing cluster.
        mesh: The mesh; who leads in it is not routed to where its endpoint is.

    In one cluster the first name has a range that several nodes announce; a node that is refused
    takes nothing from others.
    """
    judging = _Judging(neighbour, here, unrouted_addresses(mesh, neighbour.nodes))
    refused = ((name, judging.refusal(name)) for name in sorted(neighbour.nodes))
    return {name: refusal for name, refusal in refused if refusal is not None}


def own_addresses(here: Here) -> Spans:
    """Return where the importing cluster's nodes are: these it reaches by itself."""
    return spans_of(tuple(cidr for cidr, _ in _own(here)))


def _own(here: Here) -> Iterator[tuple[str, Holder]]:
    book = here.book
    known = chain(book.addresses.items(), book.endpoints.items())
    return ((cidr, holder) for cidr, holder in known if holder.cluster == here.cluster)


class _Judging:
    """The nodes of one cluster, while they are judged."""

    def __init__(self, neighbour: Neighbour, here: Here, unrouted: Container[str]) -> None:
        self._neighbour, self._here, self._unrouted = neighbour, here, unrouted
        declared = neighbour.declaration
        self._declared = spans_of(declared.pod_cidrs)
        self._for_else = spans_of((*declared.service_cidrs, *declared.tunnel_cidrs))
        self._own = own_addresses(here)
        self._pods = _Owners()

    def refusal(self, name: str) -> Refusal | None:
        """Return why a node is not peered with; one that is has its pods' range from now on."""
        where = Where(importing=self._here.cluster, exporting=self._neighbour.cluster, node=name)
        reach = reach_of(self._neighbour.nodes[name])
        if reach is None:
            return where.refuse(
                "NotAPeer",
                "a key, an endpoint or a pod range that cannot be read",
                "See its annotations kilo.squat.ai/key and kilo.squat.ai/endpoint, and "
                "spec.podCIDR.",
            )
        return next(self._faults(where, reach), None)

    def _faults(self, where: Where, reach: Reach) -> Iterator[Refusal]:
        yield from self._key_faults(where)
        yield from self._address_faults(where, reach)
        yield from self._pod_faults(where, reach.pod_cidr)

    def _key_faults(self, where: Where) -> Iterator[Refusal]:
        first = self._here.book.keys.get(self._neighbour.nodes[where.node].public_key)
        if first is not None and not _is(first, where):
            yield where.refuse(
                "DuplicateKey",
                f"the key of node {first.node} of cluster {first.cluster}, and a peer is known by "
                f"its key",
                "Remove /var/lib/kilo/key on one of them and restart its agent; it makes a new "
                "key.",
            )

    def _pod_faults(self, where: Where, pod_cidr: str) -> Iterator[Refusal]:
        """Yield what stands against a node's pods; the last look takes their range."""
        span, pods = span_of_text(pod_cidr), f"pods in {pod_cidr}"
        if not contains(self._declared, span):
            yield where.refuse(
                "RangeNotDeclared",
                f"{pods}, which its cluster does not declare",
                f"Set pod_cidrs of {where.exporting}'s watcher.",
            )
        if not self._here.policy.admits_range(pod_cidr):
            yield self._not_admitted(where, pods)
        if touches(self._for_else, span):
            yield where.refuse(
                "RangeTaken",
                f"{pods}, where its cluster declares Services or tunnels",
                f"Set service_cidrs or tunnel_cidrs of {where.exporting}'s watcher, if these are "
                f"wrong.",
            )
        if touches(self._own, span):
            yield where.refuse(
                "RangeTaken",
                f"{pods}, where {self._node_inside(span)} has its address",
                f"Give {where.exporting} another --cluster-cidr.",
            )
        other = self._pods.take(span, where.node)
        if other != where.node:
            yield where.refuse(
                "RangeTaken",
                f"{pods}, addresses that node {other} has",
                "One of them has an old spec.podCIDR: delete that Node object.",
            )

    def _node_inside(self, span: Span) -> str:
        """Return one of the importing cluster's nodes, of those with an address in a range."""
        held = ((holder.node, span_of_text(cidr)) for cidr, holder in _own(self._here))
        inside = (node for node, address in held if touches((span,), address))
        return f"{self._here.cluster}'s own node {next(inside)}"

    def _address_faults(self, where: Where, reach: Reach) -> Iterator[Refusal]:
        """Yield what stands against a node's private IP, if it is to be routed at all."""
        cidr = reach.private_cidr
        if cidr is None or where.node in self._unrouted:
            return
        address = cidr.partition("/")[0]
        if not self._here.policy.admits_range(cidr):
            if reach.host != address:  # its endpoint is reached without a tunnel
                yield self._not_admitted(where, f"the address {address}")
            return
        if touches(self._here.taken, span_of_text(cidr)):
            yield where.refuse(
                "AddressTaken",
                f"the address {address}, which is in a range of pods, Services or tunnels",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip.",
            )
        if at := self._here.book.elsewhere(cidr, where.exporting):
            yield where.refuse(
                "AddressTaken",
                f"the address {address}, where node {at.node} of cluster {at.cluster} is reached",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip to none.",
            )
        first = self._here.book.addresses.get(cidr)
        if first is not None and not _is(first, where):
            yield where.refuse(
                "AddressTaken",
                f"the address {address}, which node {first.node} of cluster {first.cluster} has",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip to none.",
            )

    def _not_admitted(self, where: Where, what: str) -> Refusal:
        return where.refuse(
            "RangeNotAdmitted",
            f"{what}, which is outside of the ranges that {where.importing} admits",
            f"Set admitted_ranges of {where.importing}'s peerer, if that is right.",
        )


class _Owners:
    """Whose the addresses are; no two have one in common."""

    def __init__(self) -> None:
        self._taken: list[tuple[int, int, str]] = []

    def take(self, span: Span, owner: str) -> str:
        """Return who has addresses of a range already; else the owner, who has them now."""
        first, last = span
        at = bisect_right(self._taken, last, key=_FIRST)
        if at and self._taken[at - 1][1] >= first:
            return self._taken[at - 1][2]
        self._taken.insert(at, (first, last, owner))
        return owner


def _is(holder: Holder, where: Where) -> bool:
    return (holder.cluster, holder.node) == (where.exporting, where.node)
