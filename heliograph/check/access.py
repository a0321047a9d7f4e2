"""Findings about one cluster's API server, and about who asks it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from heliograph.check.finding import Finding, counted, named
from heliograph.check.known import BusFacts, ClusterFacts
from heliograph.contract.names import ClusterId

OLDEST: Final = (1, 21)
"""The first with discovery.k8s.io/v1, without which there are no mirrors."""

TRIED: Final = (1, 27)
"""Older ones nobody has tried Heliograph with."""

SKEW_WARNING_S: Final = 2.0
SKEW_PROBLEM_S: Final = 30.0
"""Half of the 60 seconds by which Kilo judges heartbeats."""

_SLOW_S: Final = 1.0
_REMEDIES: Final = {
    "Unreachable": "is the address in its kubeconfig right, and the server up?",
    "Unauthorized": "give a kubeconfig whose token or certificate is valid",
    "NotServing": "is that an API server, and is it up?",
}


def reached(facts: ClusterFacts) -> Iterator[Finding]:
    """Say whether the API server answers, and what it is."""
    if facts.fault is not None:
        yield Finding(
            severity="problem",
            cluster=facts.cluster,
            reason=facts.fault.reason,
            what=facts.fault.message,
            remedy=_REMEDIES.get(facts.fault.reason, ""),
        )
        return
    version = facts.version.text if facts.version else "of unknown version"
    nodes = "" if facts.nodes is None else f", {counted(len(facts.nodes), 'node')}"
    slow = facts.answered_s >= _SLOW_S
    yield Finding(
        severity="warning" if slow else "ok",
        cluster=facts.cluster,
        reason="Slow" if slow else "Reachable",
        what=f"the API server ({version}{nodes}) answers in {facts.answered_s * 1000:.0f} ms",
        remedy="changes will be as slow; is it far away, or overloaded?" if slow else "",
    )


def version(facts: ClusterFacts) -> Iterator[Finding]:
    """Judge the version by the APIs that Heliograph needs."""
    if facts.version is None:
        return
    found = (facts.version.major, facts.version.minor)
    if found >= TRIED:
        return
    too_old = found < OLDEST
    why = (
        "lacks discovery.k8s.io/v1, without which there are no mirrors"
        if too_old
        else "is older than any that Heliograph was tried with"
    )
    yield Finding(
        severity="problem" if too_old else "warning",
        cluster=facts.cluster,
        reason="OldVersion",
        what=f"Kubernetes {facts.version.text} {why}",
        remedy=f"upgrade it to {TRIED[0]}.{TRIED[1]} or newer",
    )


def rights(facts: ClusterFacts) -> Iterator[Finding]:
    """Say which rights each program would lack with these credentials."""
    for program, lacking in sorted(facts.missing.items()):
        yield Finding(
            severity="problem",
            cluster=facts.cluster,
            reason="MissingRight",
            what=f"with these credentials the {program} may not {', '.join(lacking)}",
            remedy="grant it, as the roles in deploy/ do",
        )


def clock(facts: ClusterFacts) -> Iterator[Finding]:
    """Compare the API server's clock with this machine's."""
    skew_s = facts.skew_s
    if skew_s is None or abs(skew_s) <= SKEW_WARNING_S:
        return
    way = "ahead of" if skew_s > 0 else "behind"
    yield Finding(
        severity="problem" if abs(skew_s) > SKEW_PROBLEM_S else "warning",
        cluster=facts.cluster,
        reason="ClockSkew",
        what=f"the API server's clock is {abs(skew_s):.0f} s {way} this machine's, and Kilo's "
        f"heartbeats are judged by the clock",
        remedy="synchronise both clocks (NTP)",
    )


def unread(facts: ClusterFacts) -> Iterator[Finding]:
    """Say what could not be looked at, so that nobody takes silence for health."""
    for what, why in facts.unread.items():
        yield Finding(
            severity="warning",
            cluster=facts.cluster,
            reason="NotRead",
            what=f"{what} could not be read ({why}), and nothing is said of them",
            remedy="check again with credentials that may list them",
        )


def one_cluster_twice(known: Sequence[ClusterFacts]) -> Iterator[Finding]:
    """Find two ids that lead to the same cluster, by the UID of its kube-system namespace."""
    first: dict[str, ClusterId] = {}
    for facts in known:
        if not facts.uid:
            continue
        other = first.setdefault(facts.uid, facts.cluster)
        if other != facts.cluster:
            yield Finding(
                severity="problem",
                cluster=facts.cluster,
                reason="SameCluster",
                what=f"{other} and {facts.cluster} are the same cluster: their kube-system "
                f"namespaces have one UID",
                remedy="give another context to one of them, or leave it out",
            )


def missing_namespaces(known: Sequence[ClusterFacts]) -> Iterator[Finding]:
    """Find the namespaces that mirrors would need, and that are not there."""
    for importing in known:
        if importing.namespaces is None:
            continue
        for namespace, exporting in _needed(known, importing.cluster).items():
            if namespace not in importing.namespaces:
                yield Finding(
                    severity="warning",
                    cluster=importing.cluster,
                    reason="NamespaceMissing",
                    what=f"there is no namespace {namespace}, from which {named(exporting)} "
                    f"exports Services; they are not mirrored",
                    remedy=f"'kubectl create namespace {namespace}', or let the reflector do so "
                    f"(setting create_namespaces)",
                )


def _needed(
    known: Sequence[ClusterFacts], importing: ClusterId
) -> Mapping[str, tuple[ClusterId, ...]]:
    """Return the clusters that export from each namespace."""
    needed: dict[str, tuple[ClusterId, ...]] = {}
    for facts in known:
        if facts.cluster != importing:
            for namespace in sorted({namespace for namespace, _ in facts.exported or ()}):
                needed[namespace] = (*needed.get(namespace, ()), facts.cluster)
    return needed


def buses(known: Sequence[BusFacts]) -> Iterator[Finding]:
    """Say which buses can be used."""
    for bus in known:
        of = "" if len(bus.clusters) != 1 else bus.clusters[0]
        if bus.fault is None:
            what = f"the bus at {bus.url} answers, with JetStream"
            yield Finding(severity="ok", cluster=of, reason="BusReachable", what=what)
            continue
        why, _, remedy = bus.fault.message.partition("; ")
        yield Finding(
            severity="problem",
            cluster=of,
            reason=bus.fault.reason,
            what=f"the bus at {bus.url} cannot be used: {why}",
            remedy=remedy or "is the nats-server up, with JetStream, and may this user use it?",
        )
