"""Pods whose addresses are not in their nodes' podCIDRs. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from heliograph.check.known import Stray
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import Node, Pod

_ENDED = frozenset({"Succeeded", "Failed"})


def strays(nodes: Iterable[Node], pods: Iterable[Pod]) -> tuple[Stray, ...]:
    """Return the pods outside of their nodes' ranges, by node.

    Pods of the host's network have its address by intention; nodes without ranges say nothing.
    """
    ranges = {node.metadata.name: pod_cidrs_of(node) for node in nodes}
    found: dict[str, Stray] = {}
    for pod in pods:
        cidrs = ranges.get(pod.spec.node_name, ())
        if not cidrs or not _has_own_address(pod) or _inside(pod.status.pod_ip, cidrs):
            continue
        before = found.get(pod.spec.node_name)
        found[pod.spec.node_name] = Stray(
            node=pod.spec.node_name,
            cidrs=cidrs,
            count=before.count + 1 if before else 1,
            pod=before.pod if before else f"{pod.metadata.namespace}/{pod.metadata.name}",
            address=before.address if before else pod.status.pod_ip,
        )
    return tuple(found[name] for name in sorted(found))


def _has_own_address(pod: Pod) -> bool:
    ended = pod.status.phase in _ENDED
    return bool(pod.status.pod_ip) and not pod.spec.host_network and not ended


def _inside(address: str, cidrs: Iterable[str]) -> bool:
    """Tell whether an address is in a range; one of another family than all of them counts as in.

    A pod's first address may be of the family that its node's podCIDR leaves out.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return True
    alike = [n for n in _networks(cidrs) if n.version == parsed.version]
    return not alike or any(parsed in network for network in alike)


def _networks(cidrs: Iterable[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return map(ipaddress.ip_network, cidrs)
