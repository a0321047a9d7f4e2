"""Which nodes of an exporting cluster get a WireGuard peer: each claims only its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from typing_extensions import override

from heliograph.admission.policy import is_special
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
from heliograph.kilo.addresses import host_cidr_of, parse_cidr
from heliograph.wireguard.notation import (
    endpoint_name,
    parse_endpoint,
    parse_interface,
    parse_public_key,
)
from services.peerer.judging import Here, Judging, Neighbour, Owners
from services.peerer.refusal import Refusal, Where

MAX_RANGES: Final = 64
"""Pod ranges of one node: Kubernetes gives at most one of each family."""


def judge_nodes(neighbour: Neighbour, here: Here, reached: Spans) -> dict[str, Refusal]:
    """Return the refusal of each node that is not peered with; `reached` is `reached_before`."""
    judging = _Judging(neighbour, here, reached)
    refused = ((name, judging.refusal(name)) for name in sorted(neighbour.nodes))
    return {name: refusal for name, refusal in refused if refusal is not None}


def tunnel_cidr_of(node: NodeAnnounced) -> str | None:
    """Return a node's tunnel address as /32 or /128; None if it has none that can be read."""
    return host_cidr_of(node.tunnel_ip.partition("/")[0]) if node.tunnel_ip else None


def routed_before(here: Here, cluster: ClusterId) -> Spans:
    """Return the addresses that go through the tunnels, as far as a cluster's nodes are concerned.

    Ranges of clusters with a lesser right do not count: what is around a node is not routed.
    """
    return here.before.get(cluster, here.taken)


def reached_in(here: Here, cluster: ClusterId, span: Span) -> str:
    """Return a node that is reached at an address, of those in `reached_before`."""
    before = set(takewhile(cluster.__ne__, here.book.order)) - {here.cluster}
    found = (
        holder
        for cidr, holder in here.book.endpoints.items()
        if holder.cluster in before and touches((span_of_text(cidr),), span)
    )
    holder = next(found)
    return f"node {holder.node} of cluster {holder.cluster}"


def reached_before(here: Here, cluster: ClusterId) -> Spans:
    """Return where nodes of exporting clusters with a better right are reached."""
    before = set(takewhile(cluster.__ne__, here.book.order)) - {here.cluster}
    found = here.book.endpoints.items() if before else ()
    return joined(span_of_text(cidr) for cidr, holder in found if holder.cluster in before)


class _Judging(Judging):
    """The nodes of one cluster with agents of ours, while they are judged."""

    new_key = (
        "Delete the file with the key of one of them (--key-file) and restart its agent; it makes "
        "a new key."
    )

    @override
    def __init__(self, neighbour: Neighbour, here: Here, reached: Spans) -> None:
        super().__init__(neighbour, here)
        self._tunnels = spans_of(neighbour.declaration.tunnel_cidrs)
        self._addresses = Owners()
        self._reached = reached

    def refusal(self, name: str) -> Refusal | None:
        """Return why a node is not peered with; one that is has its ranges from now on."""
        node = self.neighbour.nodes[name]
        refusal = next(self._faults(self.where(name), node), None)
        if refusal is None:
            self.take_pods(name, node.pod_cidrs)
            if (tunnel := tunnel_cidr_of(node)) is not None:
                self._addresses.take((span_of_text(tunnel),), name)
        return refusal

    def _faults(self, where: Where, node: NodeAnnounced) -> Iterator[Refusal]:
        yield from _form_faults(where, node)
        yield from self.key_faults(where)
        yield from self._endpoint_faults(where, node)
        yield from self._tunnel_faults(where, node)
        for cidr in node.pod_cidrs:
            yield from self.pod_faults(where, cidr)
            yield from self._reach_faults(where, cidr, f"pods in {cidr}")

    def _endpoint_faults(self, where: Where, node: NodeAnnounced) -> Iterator[Refusal]:
        """Yield that an endpoint is no machine's, or is behind the tunnel that would lead to it."""
        host = (node.endpoint or "").rpartition(":")[0].strip("[]")
        if not host or endpoint_name(node.endpoint):
            return
        if is_special(host):
            yield _unreadable(where, f"the endpoint {node.endpoint}, which no other machine has")
        if touches(routed_before(self.here, where.exporting), span_of_text(host)):
            yield where.refuse(
                "AddressTaken",
                f"the endpoint {node.endpoint}, an address inside of a range that is routed "
                f"through the tunnels",
                "Set --endpoint of its agent to an address outside of all clusters' ranges.",
            )

    def _reach_faults(self, where: Where, cidr: str, what: str) -> Iterator[Refusal]:
        """Yield that addresses are where an earlier cluster's node is reached without a tunnel."""
        span = span_of_text(cidr)
        if touches(self._reached, span):
            yield where.refuse(
                "RangeTaken",
                f"{what}, where {reached_in(self.here, where.exporting, span)} is reached",
                f"Give {where.exporting} other ranges.",
            )

    def _tunnel_faults(self, where: Where, node: NodeAnnounced) -> Iterator[Refusal]:
        cidr = tunnel_cidr_of(node)
        if cidr is None:
            return
        span, address = span_of_text(cidr), f"the tunnel address {cidr.partition('/')[0]}"
        if not contains(self._tunnels, span):
            yield where.refuse(
                "RangeNotDeclared",
                f"{address}, which is in no tunnel range that its cluster declares",
                f"Set --tunnel-cidr of its agent, or tunnel_cidrs of {where.exporting}'s watcher.",
            )
        if not self.here.policy.admits_range(cidr):
            yield self.not_admitted(where, address)
        if touches(self._own, span):
            yield where.refuse(
                "AddressTaken",
                f"{address}, where {self.node_inside(span)} has its address",
                f"Give {where.exporting} another --tunnel-cidr.",
            )
        yield from self._reach_faults(where, cidr, address)
        other = self._addresses.holder(span)
        if other is not None:
            yield where.refuse(
                "AddressTaken",
                f"{address}, which node {other} has",
                "The agents settle that by themselves; if it stays, restart that node's agent.",
            )


def _form_faults(where: Where, node: NodeAnnounced) -> Iterator[Refusal]:
    """Yield what cannot be read; all texts come from another cluster."""
    if parse_public_key(node.public_key) != node.public_key:
        yield _unreadable(where, "a key that is not base64 of 32 bytes in its one canonical form")
    if node.endpoint is not None and parse_endpoint(node.endpoint) is None:
        yield _unreadable(where, "an endpoint that is no HOST:PORT")
    if len(node.pod_cidrs) > MAX_RANGES:
        yield _unreadable(where, f"{len(node.pod_cidrs)} pod ranges, of at most {MAX_RANGES}")
    elif any(parse_cidr(cidr) != cidr for cidr in node.pod_cidrs):
        yield _unreadable(where, "a pod range that is none, or not in canonical form")
    if node.tunnel_ip is not None and parse_interface(node.tunnel_ip) is None:
        yield _unreadable(where, "a tunnel address that cannot be read")


def _unreadable(where: Where, what: str) -> Refusal:
    return where.refuse(
        "NotAPeer", what, "See the annotations heliograph.io/* and spec.podCIDRs of that Node."
    )
