"""Findings about addresses that two clusters both have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

from heliograph.admission.decide import decide
from heliograph.admission.declaration import Declaration, Overlap
from heliograph.admission.explain import KILO_DEFAULT_SUBNET, REASON, way_out
from heliograph.admission.spans import Spans, network_of, span_of, spans_of, touches
from heliograph.check.finding import Finding, counted, named
from heliograph.check.known import ClusterFacts
from heliograph.check.ranges import declaration
from heliograph.kilo.addresses import host_cidr_of
from heliograph.kilo.facts import node_facts
from heliograph.kube.objects import Node

DEFAULT_SUBNET_REASON = "KiloDefaultSubnet"
_NEVER = "1970-01-01T00:00:00Z"
"""Nothing was admitted before a check: its time does not count."""


def ranges_of_both(known: Sequence[ClusterFacts]) -> Iterator[Finding]:
    """Find each two clusters whose ranges have addresses in common: each refuses the other."""
    declared = [declaration(facts) for facts in known]
    for first, second in combinations(declared, 2):
        found = tuple(o for o in _overlaps(first, second) if not _both_default(o))
        if found:
            yield Finding(
                severity="problem",
                cluster=second.cluster,
                reason=REASON,
                what=f"{_clash(found)}; {first.cluster} and {second.cluster} refuse each other",
                remedy=way_out(found[0]).removeprefix("Way out: ").rstrip("."),
            )


def default_subnets(known: Sequence[ClusterFacts]) -> Iterator[Finding]:
    """Find clusters that all have Kilo's default subnet, as untouched installations do."""
    having = [f.cluster for f in known if KILO_DEFAULT_SUBNET in declaration(f).tunnel_cidrs]
    if len(having) > 1:
        yield Finding(
            severity="problem",
            cluster=having[-1],
            reason=DEFAULT_SUBNET_REASON,
            what=f"{named(tuple(having), shown=9)} all have Kilo's default subnet "
            f"{KILO_DEFAULT_SUBNET}, and refuse one another",
            remedy="start Kilo's agents with another --subnet in all of them but one, such as "
            "--subnet=10.5.0.0/16",
        )


def node_addresses(known: Sequence[ClusterFacts]) -> Iterator[Finding]:
    """Find nodes whose private address another cluster has too: they alone are refused as peers."""
    for exporting, importing in permutations(known, 2):
        taken = _taken(importing)
        nodes = tuple(node.metadata.name for node in exporting.nodes or () if _private(node, taken))
        if nodes:
            verb = "is" if len(nodes) == 1 else "are"
            yield Finding(
                severity="warning",
                cluster=exporting.cluster,
                reason="NodeAddressTaken",
                what=f"the private {'address' if len(nodes) == 1 else 'addresses'} of "
                f"{counted(len(nodes), 'node')} ({named(nodes)}) {verb} in use in cluster "
                f"{importing.cluster} too, and no peers there",
                remedy="give them others, or set kilo.squat.ai/force-internal-ip",
            )


def _overlaps(first: Declaration, second: Declaration) -> tuple[Overlap, ...]:
    """Return what the second cluster has of the first one's addresses."""
    return decide(first, [second], {}, _NEVER).refused.get(second.cluster, ())


def _clash(overlaps: Sequence[Overlap]) -> str:
    first = overlaps[0]
    more = f" (and {len(overlaps) - 1} more)" if len(overlaps) > 1 else ""
    return (
        f"{first.use} range {first.cidr} overlaps with {first.with_use} range "
        f"{first.with_cidr} of {first.with_cluster}{more}"
    )


def _both_default(overlap: Overlap) -> bool:
    default = overlap.cidr == overlap.with_cidr == KILO_DEFAULT_SUBNET
    return default and overlap.use == overlap.with_use == "tunnel"


def _taken(facts: ClusterFacts) -> Spans:
    """Return the addresses of a cluster's ranges, and of its nodes."""
    ranges = (cidr for cidr, _ in declaration(facts).ranges())
    private = filter(None, map(_private_cidr, facts.nodes or ()))
    return spans_of((*ranges, *private))


def _private(node: Node, taken: Spans) -> bool:
    """Tell whether a node's private address is taken."""
    cidr = _private_cidr(node)
    network = network_of(cidr) if cidr else None
    return network is not None and touches(taken, span_of(network))


def _private_cidr(node: Node) -> str | None:
    """Return a node's private address as a range; None if it is routed to nobody."""
    facts = node_facts(node)
    announced = facts.announced if facts else None
    if announced is None or announced.private_ip is None:
        return None
    if (announced.endpoint or "").rpartition(":")[0].strip("[]") == announced.private_ip:
        return None  # an endpoint's own address is no allowed IP
    return host_cidr_of(announced.private_ip)
