"""What a cluster says that it uses, and why that cannot be admitted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from heliograph.contract.messages import ClusterAnnounced, Timestamp
from heliograph.contract.names import ClusterId

Use = Literal["service", "pod", "tunnel"]
"""What a range is for."""


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """The ranges of one cluster, each a tuple of canonical CIDRs.

    Attributes:
        cluster: Its id.
        service_cidrs: Of cluster IPs.
        pod_cidrs: Of pods.
        tunnel_cidrs: Of its nodes inside the tunnels (Kilo's subnet, by default 10.4.0.0/16).
    """

    cluster: ClusterId
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    tunnel_cidrs: tuple[str, ...] = ()

    def ranges(self) -> Iterator[tuple[str, Use]]:
        """Yield each range with what it is for."""
        yield from ((cidr, "service") for cidr in self.service_cidrs)
        yield from ((cidr, "pod") for cidr in self.pod_cidrs)
        yield from ((cidr, "tunnel") for cidr in self.tunnel_cidrs)


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """When a cluster's ranges were admitted; the record of it is kept in the importing cluster.

    Attributes:
        since: When the newest of them was.
        ranges: All that were, canonical, neighbours joined.
    """

    since: Timestamp
    ranges: tuple[str, ...]


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Two ranges of two clusters that have addresses in common.

    Attributes:
        refused: The cluster that is not admitted.
        cidr: Its range.
        use: What its range is for.
        with_cluster: The cluster that has the addresses already.
        with_cidr: That one's range.
        with_use: What that range is for; None of a cluster that is away, as only its record is
            known.
        since: When that one's ranges were admitted; None if they are the importing cluster's own.
    """

    refused: ClusterId
    cidr: str
    use: Use
    with_cluster: ClusterId
    with_cidr: str
    with_use: Use | None
    since: Timestamp | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Which clusters take part.

    Attributes:
        admitted: Those whose ranges overlap with nobody's who was there before.
        refused: By cluster: every overlap that stands against it, the first one to be mended first.
        record: What is to be kept of all this for the next decision.
    """

    admitted: frozenset[ClusterId] = frozenset()
    refused: Mapping[ClusterId, tuple[Overlap, ...]] = {}
    record: Mapping[ClusterId, Admitted] = {}


def declaration_of(cluster: ClusterId, message: ClusterAnnounced) -> Declaration:
    """Return the ranges that a cluster's own message declares."""
    return Declaration(
        cluster=cluster,
        service_cidrs=message.service_cidrs,
        pod_cidrs=message.pod_cidrs,
        tunnel_cidrs=message.tunnel_cidrs,
    )
