"""Which nodes of an exporting cluster are peered with: each claims no more than is its own. Pure.

A node that claims more is refused with the reason, and the rest of its cluster goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from heliograph.admission.declaration import Declaration
from heliograph.admission.policy import RangePolicy
from heliograph.admission.spans import Spans, covers, network_of, span_of, spans_of, touches
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.reach import Reach, reach_of
from services.peerer.book import Book, Holder
from services.peerer.refusal import Refusal, Where


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


def judge_nodes(neighbour: Neighbour, here: Here) -> dict[str, Refusal]:
    """Return the refusal of each node that is not peered with."""
    declared = spans_of(neighbour.declaration.pod_cidrs)
    refused: dict[str, Refusal] = {}
    pod_ranges: dict[str, str] = {}
    for name in sorted(neighbour.nodes):
        judged = _Judged(neighbour, here, name)
        refusal = next(judged.faults(declared, pod_ranges), None)
        if refusal is not None:
            refused[name] = refusal
    return refused


class _Judged:
    """One node, while it is judged."""

    def __init__(self, neighbour: Neighbour, here: Here, name: str) -> None:
        self._node, self._here = neighbour.nodes[name], here
        self._holder = Holder(cluster=neighbour.cluster, node=name)
        self._where = Where(importing=here.cluster, exporting=neighbour.cluster, node=name)

    def faults(self, declared: Spans, pod_ranges: dict[str, str]) -> Iterator[Refusal]:
        """Yield what stands against the node; notes its pod range among those of its cluster."""
        reach = reach_of(self._node)
        if reach is None:
            yield self._where.refuse(
                "NotAPeer",
                "a key, an endpoint or a pod range that cannot be read",
                "See its annotations kilo.squat.ai/key and kilo.squat.ai/endpoint, and "
                "spec.podCIDR.",
            )
            return
        yield from self._key_faults()
        yield from self._pod_faults(reach, declared, pod_ranges)
        if reach.private_cidr is not None and reach.host != self._node.private_ip:
            yield from self._address_faults(reach.private_cidr)

    def _key_faults(self) -> Iterator[Refusal]:
        first = self._here.book.keys.get(self._node.public_key)
        if first != self._holder and first is not None:
            yield self._where.refuse(
                "DuplicateKey",
                f"the key of node {first.node} of cluster {first.cluster}, and a peer is known by "
                f"its key",
                "Remove /var/lib/kilo/key on one of them and restart its agent; it makes a new "
                "key.",
            )

    def _pod_faults(
        self, reach: Reach, declared: Spans, pod_ranges: dict[str, str]
    ) -> Iterator[Refusal]:
        if not _inside(reach.pod_cidr, declared):
            yield self._where.refuse(
                "RangeNotDeclared",
                f"pods in {reach.pod_cidr}, which its cluster does not declare",
                f"Set pod_cidrs of {self._holder.cluster}'s watcher.",
            )
        if not self._here.policy.admits_range(reach.pod_cidr):
            yield self._not_admitted(f"pods in {reach.pod_cidr}")
        other = pod_ranges.setdefault(reach.pod_cidr, self._holder.node)
        if other != self._holder.node:
            yield self._where.refuse(
                "RangeTaken",
                f"pods in {reach.pod_cidr}, as node {other} does",
                "One of them has an old spec.podCIDR: delete that Node object.",
            )

    def _address_faults(self, private_cidr: str) -> Iterator[Refusal]:
        if not self._here.policy.admits_range(private_cidr):
            yield self._not_admitted(f"the address {self._node.private_ip}")
        network = network_of(private_cidr)
        if network is not None and touches(self._here.taken, span_of(network)):
            yield self._where.refuse(
                "AddressTaken",
                f"the address {self._node.private_ip}, which is in a range of pods, Services or "
                f"tunnels",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip.",
            )
        first = self._here.book.addresses.get(self._node.private_ip or "")
        if first is not None and first != self._holder:
            yield self._where.refuse(
                "AddressTaken",
                f"the address {self._node.private_ip}, which node {first.node} of cluster "
                f"{first.cluster} has",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip to none.",
            )

    def _not_admitted(self, what: str) -> Refusal:
        return self._where.refuse(
            "RangeNotAdmitted",
            f"{what}, which is outside of the ranges that {self._here.cluster} admits",
            f"Set admitted_ranges of {self._here.cluster}'s peerer, if that is right.",
        )


def _inside(cidr: str, spans: Spans) -> bool:
    network = network_of(cidr)
    return network is not None and covers(spans, (span_of(network),))
