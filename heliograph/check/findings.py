"""From what is known of all clusters to findings, the worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from heliograph.check import access, kilo, overlaps, peers, ranges
from heliograph.check.finding import Finding, Severity, counted
from heliograph.check.known import BusFacts, ClusterFacts

_ORDER: Final[tuple[Severity, ...]] = ("problem", "warning", "ok")
_ABOUT_ONE: Final[tuple[Callable[[ClusterFacts], Iterator[Finding]], ...]] = (
    access.reached,
    access.version,
    access.rights,
    access.clock,
    ranges.unknown_ranges,
    ranges.pods_elsewhere,
    ranges.cilium,
    kilo.presence,
    kilo.granularity,
    kilo.readiness,
    peers.doubled,
    peers.invalid,
    access.unread,
)
_ABOUT_ALL: Final[tuple[Callable[[Sequence[ClusterFacts]], Iterator[Finding]], ...]] = (
    overlaps.default_subnets,
    overlaps.ranges_of_both,
    overlaps.node_addresses,
    peers.made_by_hand,
    access.missing_namespaces,
)


def judge(known: Sequence[ClusterFacts], buses: Sequence[BusFacts] = ()) -> tuple[Finding, ...]:
    """Return all findings: problems first, then warnings; each by cluster in the given order."""
    found = [
        *access.buses(buses),
        *access.one_cluster_twice(known),
        *(finding for rule in _ABOUT_ALL for finding in rule(_distinct(known))),
        *(finding for facts in known for rule in _ABOUT_ONE for finding in rule(facts)),
    ]
    place: dict[str, int] = {facts.cluster: number for number, facts in enumerate(known)}
    ordered = sorted(
        found,
        key=lambda f: (_ORDER.index(f.severity), place.get(f.cluster, -1)),
    )
    return tuple(ordered)


def _distinct(known: Sequence[ClusterFacts]) -> list[ClusterFacts]:
    """Return the clusters without those that are one of the others: all is equal there."""
    by_uid = {facts.uid or facts.cluster: facts for facts in reversed(known)}
    return [facts for facts in known if by_uid[facts.uid or facts.cluster] is facts]


def healthy(findings: Sequence[Finding]) -> bool:
    """Tell whether there is no problem."""
    return all(finding.severity != "problem" for finding in findings)


def summary(findings: Sequence[Finding], clusters: int) -> str:
    """Return how many problems and warnings there are, such as "2 problems in 3 clusters"."""
    counts = Counter(finding.severity for finding in findings)
    words = [
        counted(counts[severity], severity) for severity in _ORDER[:2] if counts[severity]
    ] or ["nothing wrong"]
    return f"{', '.join(words)} in {counted(clusters, 'cluster')}"
