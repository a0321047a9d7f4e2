"""The ranges that all nodes of an exporting cluster offer, and one of them gets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from heliograph.admission.spans import Span, Spans, span_of_text, touches
from heliograph.contract.names import ClusterId
from heliograph.kilo.addresses import parse_cidr
from services.peerer.judging import Here, Neighbour
from services.peerer.refusal import Refusal, cluster_refusal

MAX_SHARED: Final = 32
"""Ranges of cluster IPs that are routed to one cluster: each costs a look at every node of it."""


def shared_ranges(
    neighbour: Neighbour,
    here: Here,
    *,
    reached: Spans = (),
    reached_in: Callable[[Span], str] = str,
) -> tuple[tuple[str, ...], tuple[Refusal, ...]]:
    """Return the Services' ranges that are routed, and a refusal for each of the others.

    Args:
        neighbour: The cluster.
        here: The importing one.
        reached: Addresses at which others with a better right are reached without a tunnel.
        reached_in: Returns who is, in a range that has some of these.
    """
    own = here.own
    routed: list[str] = []
    refusals: list[Refusal] = []
    texts = neighbour.declaration.service_cidrs
    if len(texts) > MAX_SHARED:
        refusals.append(_too_many(neighbour.cluster, here.cluster, len(texts)))
    for text in texts[:MAX_SHARED]:
        cidr = parse_cidr(text)
        if cidr is None or not here.policy.admits_range(cidr):
            refusals.append(_not_admitted(neighbour.cluster, here.cluster, text))
        elif touches(own, span_of_text(cidr)):
            refusals.append(_around_our_nodes(neighbour.cluster, here.cluster, cidr))
        elif touches(reached, span_of_text(cidr)):
            where = reached_in(span_of_text(cidr))
            refusals.append(_around(where, neighbour.cluster, here.cluster, cidr))
        else:
            routed.append(cidr)
    return _outermost(routed), tuple(refusals)


def _outermost(cidrs: Iterable[str]) -> tuple[str, ...]:
    """Return the ranges that are inside of no other one, each once, in their order."""
    spans = {cidr: span_of_text(cidr) for cidr in cidrs}
    outer, reach = set(), -1
    for cidr, (_, last) in sorted(spans.items(), key=lambda item: (item[1][0], -item[1][1])):
        if last > reach:
            outer.add(cidr)
            reach = last
    return tuple(cidr for cidr in spans if cidr in outer)


def _not_admitted(exporting: ClusterId, importing: ClusterId, cidr: str) -> Refusal:
    return cluster_refusal(
        exporting,
        "RangeNotAdmitted",
        f"cluster {exporting} announces cluster IPs in {cidr}, which is outside of the "
        f"ranges that cluster {importing} admits; they are not routed. Set admitted_ranges of "
        f"{importing}'s peerer and reflector, if that is right.",
    )


def _too_many(exporting: ClusterId, importing: ClusterId, count: int) -> Refusal:
    return cluster_refusal(
        exporting,
        "TooManyRanges",
        f"cluster {exporting} announces {count} ranges of cluster IPs; cluster {importing} "
        f"routes the first {MAX_SHARED}. Set service_cidrs of {exporting}'s watcher to fewer and "
        f"wider ones.",
    )


def _around(node: str, exporting: ClusterId, importing: ClusterId, cidr: str) -> Refusal:
    return cluster_refusal(
        exporting,
        "RangeTaken",
        f"cluster {exporting} announces cluster IPs in {cidr}, where {node} is reached from "
        f"cluster {importing}; they are not routed. Set service_cidrs of {exporting}'s watcher, if "
        f"that is wrong, or give {exporting} another range.",
    )


def _around_our_nodes(exporting: ClusterId, importing: ClusterId, cidr: str) -> Refusal:
    return cluster_refusal(
        exporting,
        "RangeTaken",
        f"cluster {exporting} announces cluster IPs in {cidr}, where nodes of cluster "
        f"{importing} have their addresses; they are not routed. Set service_cidrs of "
        f"{exporting}'s watcher, if that is wrong, or give {exporting} another range.",
    )
