"""What Kilo says of a node in its annotations, as other clusters need it. Pure.

Formats and rules are those of Kilo 0.7 (its `kg` agent).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import is_dns_subdomain
from heliograph.kube.objects import Node
from heliograph.ranges import canonical

PREFIX: Final = "kilo.squat.ai/"
FRESH_S: Final = 60
"""A node is ready as long as its heartbeat is younger (strictly)."""

_LAST_SEEN: Final = PREFIX + "last-seen"
_READ: Final = tuple(
    PREFIX + name
    for name in (
        *("key", "endpoint", "force-endpoint", "internal-ip", "force-internal-ip", "wireguard-ip"),
        *("location", "leader", "granularity", "persistent-keepalive"),
    )
)
_REGION_LABEL: Final = "topology.kubernetes.io/region"
_KEY_BYTES: Final = 32
_MAX_UINT16: Final = 65535
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
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


def said_of(node: Node) -> tuple[object, ...]:
    """Return the texts that `announced_of` reads: those of a mere heartbeat equal the last ones."""
    metadata, spec = node.metadata, node.spec
    region = metadata.labels.get(_REGION_LABEL)
    return (spec.pod_cidr, spec.pod_cidrs, region, *map(metadata.annotations.get, _READ))


def heartbeat_s(node: Node) -> int | None:
    """Return when Kilo's agent was there last, seconds since the Unix epoch; None if never."""
    return _number(node.metadata.annotations.get(_LAST_SEEN, "")) or None


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
        tunnel_ip=_interface(said.get("wireguard-ip", "")),
        location=said.get("location", node.metadata.labels.get(_REGION_LABEL, "")),
        leader="leader" in said,
        granularity=_GRANULARITIES.get(said.get("granularity", ""), ""),
        persistent_keepalive=_keepalive(said.get("persistent-keepalive", "")),
    )


def parse_public_key(text: str) -> str | None:
    """Return the key, in its one canonical form, if it is base64 of 32 bytes, not all zero.

    Read as Go does it: ends of lines, and bits left over in the last digit, mean nothing.
    """
    try:
        key = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(key).decode() if len(key) == _KEY_BYTES and any(key) else None


def parse_endpoint(text: str) -> str | None:
    """Return "host:port" if its host is an IP address (IPv6 in brackets) or a DNS name."""
    host, colon, port = text.rpartition(":")
    if not colon or not 1 <= (_number(port) or 0) <= _MAX_UINT16:
        return None
    if host.startswith("[") and host.endswith("]"):
        return text if _is_ip(host[1:-1], 6) else None
    return text if _is_ip(host, 4) or is_dns_subdomain(host) else None


def endpoint_name(endpoint: str | None) -> str | None:
    """Return the DNS name in an endpoint; None if it has an address, or there is no endpoint."""
    host = (endpoint or "").rpartition(":")[0]
    return None if not host or host.startswith("[") or _is_ip(host, 4) else host


def pod_cidrs_of(node: Node) -> tuple[str, ...]:
    """Return the ranges of the pods on a node, canonical, in Kubernetes' order."""
    given = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
    return tuple(filter(None, map(canonical, given)))


def _private_ip(said: Mapping[str, str]) -> str | None:
    """Return the private IP; a forced one without mask is ignored, "" and "-" mean none."""
    forced = said.get("force-internal-ip")
    if forced in {"", "-"}:
        return None
    interface = _interface(forced or "") or _interface(said.get("internal-ip", ""))
    return interface.partition("/")[0] if interface else None


def _interface(text: str) -> str | None:
    if "/" not in text or "%" in text:  # a zone means nothing elsewhere
        return None
    try:
        return str(ipaddress.ip_interface(text))
    except ValueError:
        return None


def _keepalive(text: str) -> int:
    seconds = _number(text) or 0
    return seconds if seconds <= _MAX_UINT16 else 0


def _number(text: str) -> int | None:
    """Return a number in plain digits; people write annotations, and `int` is lenient or raises."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _is_ip(text: str, version: int) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text).version == version
    except ValueError:
        return False
