"""What is wrong in a ClusterSet, the worst first, each with what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from heliograph.check.finding import Finding, Severity, counted, named
from heliograph.contract.messages import RefusalStated
from heliograph.contract.programs import Gauge, ProgramStatus
from heliograph.overview.facts import ClusterFacts, MeshFacts

_ORDER: Final = ("problem", "warning", "ok")
_CLUSTER: Final = "cluster"


def judge(facts: MeshFacts) -> tuple[Finding, ...]:
    """Return what is wrong, the worst first; nothing if all is well."""
    found = chain(
        chain.from_iterable(_cluster(one, facts) for one in facts.clusters.values()),
        chain.from_iterable(_program(one) for one in facts.programs),
        _versions(facts),
    )
    return tuple(sorted(found, key=lambda one: (_ORDER.index(one.severity), one.cluster)))


def _cluster(facts: ClusterFacts, mesh: MeshFacts) -> Iterator[Finding]:
    yield from _lease(facts)
    yield from _answers(facts, mesh)
    yield from _nodes(facts)
    yield from _links(facts)
    yield from _refusals(facts)


def _lease(facts: ClusterFacts) -> Iterator[Finding]:
    if facts.unread:
        what = f"its stream cannot be read: {facts.unread}"
        remedy = "see whether its watcher runs, and whether this user may read the stream"
        yield _finding("problem", facts.cluster, "StreamUnread", what, remedy)
        return
    remedy = "see whether its watcher runs and reaches the bus; mirrors of it stay as they are"
    if facts.announced is None or facts.lease_age_s is None:
        what = "its lease is out, for so long that the bus has nothing of it any more"
        yield _finding("problem", facts.cluster, "LeaseOut", what, remedy)
    elif facts.lease_age_s > facts.announced.lease_s:
        what = (
            f"its lease is out: it was renewed {facts.lease_age_s:.0f} s ago, and holds for "
            f"{facts.announced.lease_s:g} s"
        )
        yield _finding("problem", facts.cluster, "LeaseOut", what, remedy)


def _answers(facts: ClusterFacts, mesh: MeshFacts) -> Iterator[Finding]:
    programs = {one.program for one in mesh.programs_of(facts.cluster)}
    announced = facts.announced
    if announced is None:
        return
    if not programs:
        what = "none of its programs answers on this bus"
        remedy = (
            "if they run: they are of an earlier version, have a bus of their own, or the bus does "
            "not let them hear $SRV.STATS or answer (users.conf)"
        )
        yield _finding("warning", facts.cluster, "NoAnswer", what, remedy)
        return
    peering = {"kilo": {"peerer"}, "wireguard": {"agent"}}.get(announced.peering, set[str]())
    missing = sorted({"watcher", "reflector", *peering} - programs)
    if missing:
        what = f"its {named(tuple(missing))} does not answer, other programs do"
        remedy = "see whether it runs: kubectl -n heliograph get pods"
        yield _finding("warning", facts.cluster, "NoAnswer", what, remedy)


def _nodes(facts: ClusterFacts) -> Iterator[Finding]:
    silent = tuple(sorted(name for name, node in facts.nodes.items() if not node.ready))
    if silent:
        what = f"{counted(len(silent), 'node')} not ready as peers: {named(silent)}"
        remedy = "see whether Kilo, or Heliograph's agent, runs there; claims have moved on"
        yield _finding("warning", facts.cluster, "NodeNotReady", what, remedy)


def _links(facts: ClusterFacts) -> Iterator[Finding]:
    by_cluster: dict[str, dict[str, tuple[str, ...]]] = {}
    for node, stated in sorted(facts.links.items()):
        for link in stated.links:
            if link.silent:
                by_cluster.setdefault(link.exporting, {})[node] = link.silent
    for exporting, seen in sorted(by_cluster.items()):
        there = tuple(sorted({name for silent in seen.values() for name in silent}))
        what = (
            f"{counted(len(seen), 'node')} ({named(tuple(seen))}) gets no answer from "
            f"{counted(len(there), 'node')} of {exporting}: {named(there)}"
        )
        remedy = f"see 'heliograph peers {exporting}'; is UDP let through to their endpoints?"
        yield _finding("warning", facts.cluster, "TunnelSilent", what, remedy)


def _refusals(facts: ClusterFacts) -> Iterator[Finding]:
    """Yield refusals of whole clusters one by one, others together by cluster and reason."""
    together: dict[tuple[str, str], list[RefusalStated]] = {}
    for refusal in facts.refusals:
        if refusal.kind == _CLUSTER:
            yield _finding("problem", facts.cluster, refusal.reason, refusal.message.rstrip("."))
        else:
            together.setdefault((refusal.exporting, refusal.reason), []).append(refusal)
    for (exporting, reason), some in sorted(together.items()):
        if len(some) == 1:
            yield _finding("warning", facts.cluster, reason, some[0].message.rstrip("."))
            continue
        names = tuple(sorted(_place(one) for one in some))
        what = f"{counted(len(some), some[0].kind)} of {exporting} not taken: {named(names)}"
        remedy = f"'heliograph events --kind refusal --cluster {facts.cluster}' has the sentences"
        yield _finding("warning", facts.cluster, reason, what, remedy)


def _program(status: ProgramStatus) -> Iterator[Finding]:
    who = f"its {status.program}{f' on {status.node}' if status.node else ''}"
    if not status.ready:
        why = f": {'; '.join(status.failing)}" if status.failing else ""
        remedy = "see its log; it goes on by itself once that is mended"
        yield _finding("problem", status.cluster, "NotReady", f"{who} is not ready{why}", remedy)
    for gauge in status.gauges:
        yield from _gauge(status.cluster, who, gauge)


def _gauge(cluster: str, who: str, gauge: Gauge) -> Iterator[Finding]:
    exporting = gauge.labels.get("exporting", "")
    if not gauge.value > 0:
        return
    match gauge.name:
        case "heliograph_held_removals":
            what = (
                f"{who} holds back the removal of {counted(int(gauge.value), 'mirror')} of "
                f"{exporting}, since most would go at once"
            )
            remedy = f"'heliograph confirm {exporting}' lets them go, if that is meant"
            yield _finding("problem", cluster, "RemovalsHeld", what, remedy)
        case "heliograph_silent_clusters":
            what = f"{who} neither hears {exporting} nor gets an answer from its nodes"
            remedy = "its addresses are not ready here until it is back; see to that cluster"
            yield _finding("problem", cluster, "ClusterSilent", what, remedy)
        case "heliograph_retries":
            what = f"{who} tries {counted(int(gauge.value), 'change')} again and again"
            yield _finding("warning", cluster, "Retrying", what, "see its log for the reason")
        case _:
            pass


def _versions(facts: MeshFacts) -> Iterator[Finding]:
    found: dict[str, set[str]] = {}
    for one in facts.programs:
        found.setdefault(one.version, set()).add(one.cluster)
    if len(found) > 1:
        said = "; ".join(f"{v} in {named(tuple(sorted(c)))}" for v, c in sorted(found.items()))
        what = f"programs are of different versions: {said}"
        yield _finding("warning", "", "Versions", what, "they work together; upgrade when you can")


def _place(refusal: RefusalStated) -> str:
    return "/".join(filter(None, (refusal.namespace, refusal.name)))


def _finding(severity: Severity, cluster: str, reason: str, what: str, remedy: str = "") -> Finding:
    return Finding(severity=severity, cluster=cluster, reason=reason, what=what, remedy=remedy)
