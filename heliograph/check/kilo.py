"""Findings about Kilo in clusters. Pure; Kilo's rules are those of version 0.7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from heliograph.check.finding import Finding, named
from heliograph.check.known import ClusterFacts
from heliograph.kilo.facts import FRESH_S, PREFIX
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import Node
from heliograph.wireguard.notation import parse_endpoint, parse_public_key

_GRANULARITIES: Final = frozenset({"location", "full"})
_SILENT: Final = "no fresh heartbeat"
_REMEDIES: Final = {
    "no key": "does Kilo's agent run there? See its pod's log",
    "no endpoint": f"annotate it with {PREFIX}force-endpoint=HOST:PORT",
    "no pod CIDR": "let the controller manager allocate node CIDRs, or set spec.podCIDR",
    _SILENT: "does Kilo's agent run there, and is the node's clock right?",
}


class _Unready(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    why: tuple[str, ...]
    age_s: float | None


def said(node: Node, name: str) -> str:
    """Return one of Kilo's annotations; empty if it is not there."""
    return node.metadata.annotations.get(PREFIX + name, "")


def runs_on(node: Node) -> bool:
    """Tell whether Kilo's agent, or somebody for it, has annotated a node."""
    return any(name.startswith(PREFIX) for name in node.metadata.annotations)


def presence(facts: ClusterFacts) -> Iterator[Finding]:
    """Say whether Kilo is there, wholly or by half."""
    if facts.serves_peers is None or facts.nodes is None:
        return
    annotated = any(map(runs_on, facts.nodes))
    if not facts.serves_peers:
        yield _without_peers(facts.cluster, runs=annotated)
    elif not annotated and facts.nodes:
        yield Finding(
            severity="problem",
            cluster=facts.cluster,
            reason="KiloSilent",
            what="the CRD peers.kilo.squat.ai is there, but Kilo's agent has annotated no node",
            remedy="does its DaemonSet run, in namespace kube-system?",
        )


def _without_peers(cluster: str, *, runs: bool) -> Finding:
    """Return what it means that Peers are not served."""
    if runs:
        return Finding(
            severity="problem",
            cluster=cluster,
            reason="PeersNotServed",
            what="Kilo runs, but the CRD peers.kilo.squat.ai is missing",
            remedy="apply the manifests that Kilo's documentation names, crds.yaml among them",
        )
    return Finding(
        severity="warning",
        cluster=cluster,
        reason="NoKilo",
        what="Kilo is not there (no CRD peers.kilo.squat.ai, no annotated node)",
        remedy="install it, or see to it by other means that service and pod ranges of the "
        "clusters reach one another",
    )


def granularity(facts: ClusterFacts) -> Iterator[Finding]:
    """Say which mesh it is, as far as Peers cannot be computed without."""
    nodes = [node for node in facts.nodes or () if said(node, "key")]
    by_value: dict[str, list[str]] = {}
    for node in nodes:
        by_value.setdefault(said(node, "granularity"), []).append(node.metadata.name)
    odd = {value: names for value, names in by_value.items() if value not in _GRANULARITIES}
    for value, names in sorted(odd.items()):
        which = f"is {value!r}" if value else "is missing"
        yield Finding(
            severity="problem" if len(odd) == len(by_value) else "warning",
            cluster=facts.cluster,
            reason="GranularityUnknown",
            what=f"the annotation {PREFIX}granularity {which} on {named(tuple(names))}, and Peers "
            f"cannot be computed where no node has it",
            remedy="update Kilo's agents, or set kilo_granularity of its watcher",
        )
    if len(by_value.keys() & _GRANULARITIES) > 1:
        shown = "; ".join(f"{v}: {named(tuple(by_value[v]))}" for v in sorted(_GRANULARITIES))
        yield Finding(
            severity="problem",
            cluster=facts.cluster,
            reason="GranularityMixed",
            what=f"the nodes disagree about the granularity of Kilo's mesh ({shown})",
            remedy="give all of Kilo's agents the same --mesh-granularity",
        )


def readiness(facts: ClusterFacts) -> Iterator[Finding]:
    """Say which nodes cannot be peers, and why; nodes of one reason together."""
    if not any(map(runs_on, facts.nodes or ())):
        return
    unready = [found for node in facts.nodes or () if (found := _unready(node, facts.at_s))]
    none_ready = len(unready) == len(facts.nodes or ())
    alike: dict[tuple[str, ...], list[_Unready]] = {}
    for found in unready:
        alike.setdefault(found.why, []).append(found)
    for why, group in alike.items():
        names = named(tuple(found.node for found in group))
        noun = "node is" if len(group) == 1 else "nodes are"
        yield Finding(
            severity="problem" if none_ready else "warning",
            cluster=facts.cluster,
            reason="NodeNotReady",
            what=f"{len(group)} {noun} not ready for peering ({names}): {_because(why, group)}",
            remedy=_REMEDIES[why[0]],
        )


def _because(why: Sequence[str], group: Sequence[_Unready]) -> str:
    ages = [found.age_s for found in group if found.age_s is not None]
    if _SILENT not in why or not ages:
        return ", ".join(why)
    age = f"heartbeat {max(ages):.0f} s old, {FRESH_S} s are allowed"
    return ", ".join(age if one == _SILENT else one for one in why)


def _unready(node: Node, now_s: float) -> _Unready | None:
    """Return why a node is not ready by Kilo's own rule; None if it is."""
    last_seen = said(node, "last-seen")
    age_s = now_s - int(last_seen) if last_seen.isascii() and last_seen.isdecimal() else None
    endpoints = (said(node, "force-endpoint"), said(node, "endpoint"))
    lacks = {
        "no key": parse_public_key(said(node, "key")) is None,
        "no endpoint": not any(map(parse_endpoint, endpoints)),
        "no pod CIDR": not pod_cidrs_of(node),
        _SILENT: age_s is None or age_s >= FRESH_S,
    }
    why = tuple(word for word, is_so in lacks.items() if is_so)
    return _Unready(node=node.metadata.name, why=why, age_s=age_s) if why else None
