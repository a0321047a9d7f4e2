"""What Kilo says of a node in its annotations, as other clusters need it. Pure.

Formats and rules are those of Kilo 0.7 (its `kg` agent).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import Node
from heliograph.wireguard.notation import (
    parse_endpoint,
    parse_interface,
    parse_number,
    parse_public_key,
)

PREFIX: Final = "kilo.squat.ai/"
FRESH_S: Final = 60
"""A node is ready as long as its heartbeat is younger (strictly)."""

_KEY: Final = PREFIX + "key"
_LAST_SEEN: Final = PREFIX + "last-seen"
_READ: Final = tuple(
    PREFIX + name
    for name in (
        *("key", "endpoint", "force-endpoint", "internal-ip", "force-internal-ip", "wireguard-ip"),
        *("location", "leader", "granularity", "persistent-keepalive"),
    )
)
_REGION_LABEL: Final = "topology.kubernetes.io/region"
_MAX_UINT16: Final = 65535
_GRANULARITIES: Final[Mapping[str, Literal["location", "full"]]] = {
    "location": "location",
    "full": "full",
}


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is able to be a peer.

    Attributes:
        announced: What the other clusters are told.
        last_seen_s: Heartbeat of Kilo's agent, seconds since the Unix epoch.
    """

    announced: NodeAnnounced
    last_seen_s: int


def node_facts(node: Node) -> NodeFacts | None:
    """Return what Kilo says of a node; None if that is not enough for a peer.

    Enough is: a key, an endpoint, a pod CIDR, a heartbeat (Kilo's own rule of readiness, but for
    the age of the heartbeat, which is the table's matter). Kubernetes' Ready does not count.
    """
    announced, last_seen_s = announced_of(node), heartbeat_s(node)
    if announced is None or last_seen_s is None:
        return None
    return NodeFacts(announced=announced, last_seen_s=last_seen_s)


def runs_kilo(node: Node) -> bool:
    """Tell whether Kilo's agent has said a key of the node."""
    return _KEY in node.metadata.annotations


def said_of(node: Node) -> tuple[object, ...]:
    """Return the texts that `announced_of` reads: those of a mere heartbeat equal the last ones."""
    metadata, spec = node.metadata, node.spec
    region = metadata.labels.get(_REGION_LABEL)
    return (spec.pod_cidr, spec.pod_cidrs, region, *map(metadata.annotations.get, _READ))


def heartbeat_s(node: Node) -> int | None:
    """Return when Kilo's agent was there last, seconds since the Unix epoch; None if never."""
    return parse_number(node.metadata.annotations.get(_LAST_SEEN, "")) or None


def announced_of(node: Node) -> NodeAnnounced | None:
    """Return what the other clusters are told of a node, if its agent lives; see `node_facts`."""
    annotations = node.metadata.annotations
    said = {name.removeprefix(PREFIX): annotations[name] for name in _READ if name in annotations}
    public_key = parse_public_key(said.get("key", ""))
    endpoint = parse_endpoint(said.get("force-endpoint", "")) or parse_endpoint(
        said.get("endpoint", "")
    )
    pod_cidrs = pod_cidrs_of(node)
    if not (public_key and endpoint and pod_cidrs):
        return None
    return NodeAnnounced(
        public_key=public_key,
        endpoint=endpoint,
        pod_cidrs=pod_cidrs,
        private_ip=_private_ip(said),
        tunnel_ip=parse_interface(said.get("wireguard-ip", "")),
        location=said.get("location", node.metadata.labels.get(_REGION_LABEL, "")),
        leader="leader" in said,
        granularity=_GRANULARITIES.get(said.get("granularity", ""), ""),
        persistent_keepalive=_keepalive(said.get("persistent-keepalive", "")),
    )


def _private_ip(said: Mapping[str, str]) -> str | None:
    """Return the private IP; a forced one without mask is ignored, "" and "-" mean none."""
    forced = said.get("force-internal-ip")
    if forced in {"", "-"}:
        return None
    interface = parse_interface(forced or "") or parse_interface(said.get("internal-ip", ""))
    return interface.partition("/")[0] if interface else None


def _keepalive(text: str) -> int:
    seconds = parse_number(text) or 0
    return seconds if seconds <= _MAX_UINT16 else 0
