"""What a WireGuard agent says of its node in annotations, as other clusters need it. Pure."""

from __future__ import annotations

from typing import Final

from heliograph.contract.messages import NodeAnnounced
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import Node
from heliograph.marks import (
    ENDPOINT_ANNOTATION,
    NEXT_PUBLIC_KEY_ANNOTATION,
    PUBLIC_KEY_ANNOTATION,
    TUNNEL_IP_ANNOTATION,
)
from heliograph.wireguard.notation import parse_endpoint, parse_interface, parse_public_key

SAID: Final = (
    PUBLIC_KEY_ANNOTATION,
    NEXT_PUBLIC_KEY_ANNOTATION,
    ENDPOINT_ANNOTATION,
    TUNNEL_IP_ANNOTATION,
)
"""All annotations that the agent writes."""


def announced_of(node: Node) -> NodeAnnounced | None:
    """Return what the other clusters are told of a node; None if its agent has said no key.

    It stands as long as the agent's annotations do: whether the node answers, those that peer with
    it find out by themselves.
    """
    said = node.metadata.annotations
    public_key = parse_public_key(said.get(PUBLIC_KEY_ANNOTATION, ""))
    if public_key is None:
        return None
    return NodeAnnounced(
        public_key=public_key,
        next_public_key=parse_public_key(said.get(NEXT_PUBLIC_KEY_ANNOTATION, "")),
        endpoint=parse_endpoint(said.get(ENDPOINT_ANNOTATION, "")),
        pod_cidrs=pod_cidrs_of(node),
        tunnel_ip=parse_interface(said.get(TUNNEL_IP_ANNOTATION, "")),
        peering="wireguard",
    )
