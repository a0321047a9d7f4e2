"""Findings about the address ranges of clusters, and how packets get to them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from heliograph.admission.declaration import Declaration
from heliograph.check.finding import Finding, counted
from heliograph.check.kilo import said
from heliograph.check.known import ClusterFacts, Stray
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import Node
from heliograph.ranges import canonical, join_ranges

_EXTERNAL: Final = "bpf-lb-external-clusterip"
_REPLACEMENT: Final = "kube-proxy-replacement"
_SHOWN: Final = 3


def declaration(facts: ClusterFacts) -> Declaration:
    """Return the ranges that a cluster would declare, as far as they are known."""
    nodes = facts.nodes or ()
    services = filter(None, map(canonical, facts.service_cidrs or ()))
    pods = (cidr for node in nodes for cidr in pod_cidrs_of(node))
    return Declaration(
        cluster=facts.cluster,
        service_cidrs=join_ranges(services),
        pod_cidrs=join_ranges(pods),
        tunnel_cidrs=join_ranges(tunnel_cidrs(nodes)),
    )


def tunnel_cidrs(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield the networks of the nodes' addresses inside Kilo's tunnels."""
    for node in nodes:
        address = said(node, "wireguard-ip")
        try:
            yield str(ipaddress.ip_interface(address).network)
        except ValueError:
            continue  # leaders alone have one


def unknown_ranges(facts: ClusterFacts) -> Iterator[Finding]:
    """Say which ranges nobody tells, so that they must be set."""
    if facts.service_cidrs == ():
        why = (
            "the ServiceCIDR API, which tells them, is there from Kubernetes 1.33 on"
            if facts.serves_ranges is False
            else "there is no ServiceCIDR object"
        )
        yield Finding(
            severity="problem",
            cluster=facts.cluster,
            reason="ServiceRangesUnknown",
            what=f"the ranges of cluster IPs are not known ({why}), and mirrors of Services there "
            f"are refused without them",
            remedy="set service_cidrs of its watcher (HELIOGRAPH_SERVICE_CIDRS)",
        )
    if facts.nodes is not None and not any(map(pod_cidrs_of, facts.nodes)):
        why = "no node has a podCIDR" if facts.nodes else "there are no nodes"
        yield Finding(
            severity="warning",
            cluster=facts.cluster,
            reason="PodRangesUnknown",
            what=f"the ranges of pods are not known ({why}), and mirrors that point at pods are "
            f"refused without them",
            remedy="set pod_cidrs of its watcher (HELIOGRAPH_POD_CIDRS)",
        )


def pods_elsewhere(facts: ClusterFacts) -> Iterator[Finding]:
    """Say which pods have addresses outside of their nodes' podCIDRs."""
    found = facts.strays or ()
    if not found:
        return
    pods, nodes = counted(sum(s.count for s in found), "pod"), counted(len(found), "node")
    examples = "; ".join(map(_example, found[:_SHOWN]))
    more = "; …" if len(found) > _SHOWN else ""
    yield Finding(
        severity="warning",
        cluster=facts.cluster,
        reason="PodsOutsideRanges",
        what=f"the addresses of {pods} on {nodes} are outside of their node's podCIDR, which the "
        f"address pools of Calico and Cilium ignore ({examples}{more})",
        remedy="set pod_cidrs of its watcher to the pools (HELIOGRAPH_POD_CIDRS)",
    )


def _example(stray: Stray) -> str:
    cidrs = ", ".join(stray.cidrs)
    return f"{stray.pod} at {stray.address} on {stray.node}, which has {cidrs}"


def cilium(facts: ClusterFacts) -> Iterator[Finding]:
    """Say whether Cilium serves cluster IPs to packets that come from outside."""
    settings = facts.cilium or {}
    replaces = settings.get(_REPLACEMENT, "true") not in {"false", "disabled"}
    if not settings or not replaces or settings.get(_EXTERNAL) == "true":
        return
    yield Finding(
        severity="problem",
        cluster=facts.cluster,
        reason="CiliumDropsClusterIPs",
        what="Cilium replaces kube-proxy, and does not serve cluster IPs to traffic from outside: "
        "mirrors of Services there get no answer",
        remedy=f'set {_EXTERNAL}: "true" in ConfigMap kube-system/cilium-config '
        f"(Helm: bpf.lbExternalClusterIP=true), and restart Cilium's agents",
    )
