"""The ranges of pods that a Node has. Pure."""

from __future__ import annotations

from heliograph.kube.objects import Node
from heliograph.ranges import canonical


def pod_cidrs_of(node: Node) -> tuple[str, ...]:
    """Return the ranges of the pods on a node, canonical, in Kubernetes' order."""
    given = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
    return tuple(filter(None, map(canonical, given)))
