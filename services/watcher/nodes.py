"""Which nodes offer themselves as WireGuard peers: Kilo's annotations, and the passing of time.

Pure: the time enters as an argument. Formats and rules are those of Kilo 0.7 (its `kg` agent).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import is_dns_subdomain
from heliograph.kube.objects import Node

_PREFIX: Final = "kilo.squat.ai/"
_REGION_LABEL: Final = "topology.kubernetes.io/region"
_FRESH_S: Final = 60
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


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    announced: NodeAnnounced
    until_s: float


class NodeTable:
    """The nodes that are announced now.

    A node stays announced, with its last good facts, until its heartbeat is older than Kilo's 60
    seconds plus the grace time. So neither the rollout of Kilo's agent, which removes and restores
    its annotations, nor a late heartbeat looks like a node that left.
    """

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._known: dict[str, _Known] = {}
        self._pod_cidrs: dict[str, tuple[str, ...]] = {}
        self._joined: tuple[str, ...] | None = None
        self._speechless: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """Return the nodes that are announced."""
        return tuple(self._known)

    def announced(self, name: str) -> NodeAnnounced | None:
        """Return what is announced of the node."""
        known = self._known.get(name)
        return known.announced if known else None

    def pod_cidrs(self) -> tuple[str, ...]:
        """Return the pod ranges of all nodes, announced or not, with neighbours joined."""
        if self._joined is None:
            cidrs = (cidr for cidrs in self._pod_cidrs.values() for cidr in cidrs)
            self._joined = join_ranges(cidrs)
        return self._joined

    def list(self, nodes: Iterable[Node], *, now_s: float) -> set[str]:
        """Take a complete listing; return the names that it concerns."""
        listed = {node.metadata.name: node for node in nodes}
        gone = set(self._known) - set(listed)
        for name in (gone | self._speechless | set(self._pod_cidrs)) - set(listed):
            self.drop(name)
        for node in listed.values():
            self.put(node, now_s=now_s)
        return gone | set(listed)

    def put(self, node: Node, *, now_s: float) -> set[str]:
        """Take a new or changed node."""
        name = node.metadata.name
        self._put_cidrs(name, _pod_cidrs(node))
        facts = node_facts(node)
        if facts is None:
            self._speechless.add(name)
            return {name}
        self._speechless.discard(name)
        seen_s = min(facts.last_seen_s, now_s)  # a clock ahead of ours counts as fresh
        until_s = seen_s + _FRESH_S + self._grace_s
        if until_s > now_s:
            self._known[name] = _Known(announced=facts.announced, until_s=until_s)
        return {name}

    def remember(self, name: str, announced: NodeAnnounced, *, now_s: float) -> None:
        """Keep, for the grace time, what an earlier incarnation announced of a node.

        Only of one that is there and says nothing now: the rollout of Kilo's agent goes on while
        the watcher starts. What is known here is newer.
        """
        if name in self._speechless and name not in self._known:
            self._known[name] = _Known(announced=announced, until_s=now_s + self._grace_s)

    def drop(self, name: str) -> set[str]:
        """Take the loss of a node."""
        self._known.pop(name, None)
        self._speechless.discard(name)
        self._put_cidrs(name, ())
        return {name}

    def expire(self, *, now_s: float) -> set[str]:
        """Drop the nodes whose time is over; return their names."""
        over = {name for name, known in self._known.items() if known.until_s <= now_s}
        for name in over:
            del self._known[name]
        return over

    def _put_cidrs(self, name: str, cidrs: tuple[str, ...]) -> None:
        """Set the ranges of a node; heartbeats change none, so the joined ranges are kept."""
        if self._pod_cidrs.get(name, ()) == cidrs:
            return
        self._joined = None
        self._pod_cidrs[name] = cidrs
        if not cidrs:
            del self._pod_cidrs[name]


def node_facts(node: Node) -> NodeFacts | None:
    """Return what Kilo says of a node; None if that is not enough for a peer.

    Enough is: a key, an endpoint, a pod CIDR, a heartbeat (Kilo's own rule of readiness, but for
    the age of the heartbeat, which is the table's matter). Kubernetes' Ready does not count.
    """
    said = {
        name.removeprefix(_PREFIX): value
        for name, value in node.metadata.annotations.items()
        if name.startswith(_PREFIX)
    }
    public_key = parse_public_key(said.get("key", ""))
    endpoint = parse_endpoint(said.get("force-endpoint", "")) or parse_endpoint(
        said.get("endpoint", "")
    )
    pod_cidrs, last_seen_s = _pod_cidrs(node), _number(said.get("last-seen", ""))
    if not (public_key and endpoint and pod_cidrs and last_seen_s):
        return None
    announced = NodeAnnounced(
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
    return NodeFacts(announced=announced, last_seen_s=last_seen_s)


def parse_public_key(text: str) -> str | None:
    """Return the key if it is base64 of 32 bytes that are not all zero."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return text if len(key) == _KEY_BYTES and any(key) else None


def parse_endpoint(text: str) -> str | None:
    """Return "host:port" if its host is an IP address (IPv6 in brackets) or a DNS name."""
    host, colon, port = text.rpartition(":")
    if not colon or not 1 <= (_number(port) or 0) <= _MAX_UINT16:
        return None
    if host.startswith("[") and host.endswith("]"):
        return text if _is_ip(host[1:-1], 6) else None
    return text if _is_ip(host, 4) or is_dns_subdomain(host) else None


def join_ranges(cidrs: Iterable[str]) -> tuple[str, ...]:
    """Return the smallest list of ranges that covers the same addresses, IPv4 first."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    v4 = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
    return (*map(str, v4), *map(str, v6))


def _pod_cidrs(node: Node) -> tuple[str, ...]:
    given = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
    return tuple(filter(None, map(_canonical, given)))


def _canonical(cidr: str) -> str | None:
    try:
        return str(ipaddress.ip_network(cidr, strict=False))
    except ValueError:
        return None


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
