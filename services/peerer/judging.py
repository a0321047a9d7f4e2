"""What every node of an exporting cluster is held to, whoever sets the peers. Pure.

A node that claims more than is its own is refused with the reason; the rest of its cluster goes on.
"""

from __future__ import annotations

import operator
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.policy import RangePolicy
from heliograph.admission.spans import (
    Span,
    Spans,
    contains,
    joined,
    span_of_text,
    spans_of,
    touches,
)
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from services.peerer.book import Book, Holder
from services.peerer.refusal import Peering, Refusal, Where, peers_otherwise

_FIRST: Final = operator.itemgetter(0)


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """The importing cluster, as far as it decides about peers.

    Attributes:
        cluster: Its id.
        policy: Which ranges it admits at all.
        taken: Addresses of its own ranges, and of all admitted clusters' ranges.
        book: Whose each key and node address is.
        before: By admitted cluster, those of its own ranges and of all that have a better right.
        own: Where its nodes are: these it reaches by itself.
    """

    cluster: ClusterId
    policy: RangePolicy
    taken: Spans
    book: Book
    before: Mapping[ClusterId, Spans]
    own: Spans


def make_here(
    cluster: ClusterId, policy: RangePolicy, before: Mapping[ClusterId, Spans], book: Book
) -> Here:
    """Return the importing cluster; `before` has itself first, and the last right last."""
    return Here(
        cluster=cluster,
        policy=policy,
        taken=tuple(before.values())[-1],
        book=book,
        before=before,
        own=spans_of(tuple(cidr for cidr, _ in _own(book, cluster))),
    )


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


def split_peering(
    neighbour: Neighbour, here: Here, ours: Peering
) -> tuple[Neighbour, tuple[Refusal, ...]]:
    """Return a cluster with the nodes that peer as ours do, and a refusal if others do not."""
    nodes = {name: node for name, node in neighbour.nodes.items() if node.peering == ours}
    others = sorted(neighbour.nodes.keys() - nodes.keys())
    alike = msgspec.structs.replace(neighbour, nodes=nodes)
    if not others:
        return alike, ()
    return alike, (peers_otherwise(here.cluster, neighbour.cluster, others, ours),)


def _own(book: Book, cluster: ClusterId) -> Iterator[tuple[str, Holder]]:
    known = chain(book.addresses.items(), book.endpoints.items())
    return ((cidr, holder) for cidr, holder in known if holder.cluster == cluster)


class Judging:
    """The nodes of one cluster, while they are judged.

    In one cluster the first name has a range that several nodes announce; a node that is refused
    takes nothing from others.

    Attributes:
        new_key: What people do about two nodes with one key.
    """

    new_key: str

    def __init__(self, neighbour: Neighbour, here: Here) -> None:
        self.neighbour, self.here = neighbour, here
        declared = neighbour.declaration
        self._declared = spans_of(declared.pod_cidrs)
        self._for_else = spans_of((*declared.service_cidrs, *declared.tunnel_cidrs))
        self._own = here.own
        self._pods = Owners()

    def where(self, node: str) -> Where:
        """Return a node, as the importing cluster speaks of it."""
        return Where(importing=self.here.cluster, exporting=self.neighbour.cluster, node=node)

    def key_faults(self, where: Where) -> Iterator[Refusal]:
        """Yield that another node has the key."""
        first = self.here.book.keys.get(self.neighbour.nodes[where.node].public_key)
        if first is not None and not is_node(first, where):
            yield where.refuse(
                "DuplicateKey",
                f"the key of node {first.node} of cluster {first.cluster}, and a peer is known by "
                f"its key",
                self.new_key,
            )

    def pod_faults(self, where: Where, pod_cidr: str) -> Iterator[Refusal]:
        """Yield what stands against a node's pods."""
        span, pods = span_of_text(pod_cidr), f"pods in {pod_cidr}"
        if not contains(self._declared, span):
            yield where.refuse(
                "RangeNotDeclared",
                f"{pods}, which its cluster does not declare",
                f"Set pod_cidrs of {where.exporting}'s watcher.",
            )
        if not self.here.policy.admits_range(pod_cidr):
            yield self.not_admitted(where, pods)
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
                f"{pods}, where {self.node_inside(span)} has its address",
                f"Give {where.exporting} another --cluster-cidr.",
            )
        other = self._pods.holder(span)
        if other is not None:
            yield where.refuse(
                "RangeTaken",
                f"{pods}, addresses that node {other} has",
                "One of them has an old spec.podCIDR: delete that Node object.",
            )

    def take_pods(self, node: str, cidrs: Iterable[str]) -> None:
        """Let a node that is peered with have the ranges of its pods."""
        self._pods.take(map(span_of_text, cidrs), node)

    def node_inside(self, span: Span) -> str:
        """Return one of the importing cluster's nodes, of those with an address in a range."""
        held = (
            (holder.node, span_of_text(cidr))
            for cidr, holder in _own(self.here.book, self.here.cluster)
        )
        inside = (node for node, address in held if touches((span,), address))
        return f"{self.here.cluster}'s own node {next(inside)}"

    def not_admitted(self, where: Where, what: str) -> Refusal:
        """Return that we admit no such addresses."""
        return where.refuse(
            "RangeNotAdmitted",
            f"{what}, which is outside of the ranges that {where.importing} admits",
            f"Set admitted_ranges of {where.importing}'s peerer, if that is right.",
        )


class Owners:
    """Whose the addresses are; no two have one in common."""

    def __init__(self) -> None:
        self._taken: list[tuple[int, int, str]] = []

    def holder(self, span: Span) -> str | None:
        """Return who has addresses of a range already."""
        first, last = span
        at = bisect_right(self._taken, last, key=_FIRST)
        return self._taken[at - 1][2] if at and self._taken[at - 1][1] >= first else None

    def take(self, spans: Iterable[Span], owner: str) -> None:
        """Let the owner have ranges that nobody has yet; they may overlap with one another."""
        for first, last in joined(spans):
            insort(self._taken, (first, last, owner))


def is_node(holder: Holder, where: Where) -> bool:
    """Tell whether a holder is this node."""
    return (holder.cluster, holder.node) == (where.exporting, where.node)
