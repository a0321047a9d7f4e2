"""What is known of clusters once a check has looked at them. Pure.

None means that it is not known, which `unread` explains: no rule says anything about it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer
from heliograph.kube.objects import Node


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a cluster, or a bus, cannot be looked at at all.

    Attributes:
        reason: One CamelCase word.
        message: A sentence without its full stop.
    """

    reason: str
    message: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What an API server says that it is, such as 1, 36 and "v1.36.3"."""

    major: int
    minor: int
    text: str


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of one node whose addresses are outside of its podCIDRs.

    Attributes:
        node: The node.
        cidrs: Its podCIDRs.
        count: How many pods.
        pod: One of them, as NAMESPACE/NAME.
        address: Its address.
    """

    node: str
    cidrs: tuple[str, ...]
    count: int
    pod: str
    address: str


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one cluster.

    Attributes:
        cluster: Its id.
        server: URL of its API server.
        fault: Why nothing else is known; None if the API server answers.
        answered_s: How long a small answer took, seconds.
        version: Of the API server.
        skew_s: How far its clock is ahead of this machine's, seconds; good to about a second.
        at_s: When this was asked, by the API server's clock, seconds since the Unix epoch.
        uid: UID of its kube-system namespace.
        missing: The rights that the credentials lack, by the program that needs them.
        serves_ranges: Whether the ServiceCIDR API is there.
        service_cidrs: Ranges of cluster IPs.
        nodes: Its nodes.
        serves_peers: Whether Kilo's Peers are served.
        peers: Its Peers.
        strays: Pods outside of their nodes' ranges.
        cilium: Cilium's settings; empty without Cilium.
        exported: Exported Services, as (namespace, name).
        namespaces: Its namespaces.
        unread: By what it is: why that could not be read.
    """

    cluster: ClusterId
    server: str = ""
    fault: Fault | None = None
    answered_s: float = 0
    version: Version | None = None
    skew_s: float | None = None
    at_s: float = 0
    uid: str | None = None
    missing: Mapping[str, tuple[str, ...]] = {}
    serves_ranges: bool | None = None
    service_cidrs: tuple[str, ...] | None = None
    nodes: tuple[Node, ...] | None = None
    serves_peers: bool | None = None
    peers: tuple[Peer, ...] | None = None
    strays: tuple[Stray, ...] | None = None
    cilium: Mapping[str, str] | None = None
    exported: tuple[tuple[str, str], ...] | None = None
    namespaces: frozenset[str] | None = None
    unread: Mapping[str, str] = {}


class BusFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one bus.

    Attributes:
        url: Where it is, without credentials.
        clusters: Whose bus it is.
        fault: Why it cannot be used; None if it can.
    """

    url: str
    clusters: tuple[ClusterId, ...]
    fault: Fault | None = None
