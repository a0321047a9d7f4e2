"""What is known of a ClusterSet at one moment, from its bus. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.contract.messages import (
    ClusterAnnounced,
    LinkStated,
    NodeAnnounced,
    RefusalStated,
    ServiceExported,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.programs import ProgramStatus
from heliograph.mesh.event import MeshEvent


class ClusterFacts(msgspec.Struct, kw_only=True):
    """One cluster, as its messages say.

    Attributes:
        cluster: Its id.
        announced: What it says of itself; None if its lease is out for so long that it is gone.
        lease_age_s: Seconds since it renewed its lease, by the bus's clock; None if it did not.
        nodes: Its nodes, by name.
        exports: How many Services it exports.
        exports_not_ready: How many of them have no backend that is ready.
        links: What its agents see of their tunnels, by node.
        refusals: What it does not take from others.
        unread: Why its stream could not be read; empty if it was.
    """

    cluster: ClusterId
    announced: ClusterAnnounced | None = None
    lease_age_s: float | None = None
    nodes: dict[str, NodeAnnounced] = {}
    exports: int = 0
    exports_not_ready: int = 0
    links: dict[str, LinkStated] = {}
    refusals: list[RefusalStated] = []
    unread: str = ""


class MeshFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A ClusterSet.

    Attributes:
        clusters: By id.
        programs: What programs answered.
    """

    clusters: dict[ClusterId, ClusterFacts]
    programs: tuple[ProgramStatus, ...]

    def programs_of(self, cluster: str) -> tuple[ProgramStatus, ...]:
        """Return the programs of a cluster that answered, by name and node."""
        found = (one for one in self.programs if one.cluster == cluster)
        return tuple(sorted(found, key=lambda one: (one.program, one.node)))


def fold(events: Iterable[MeshEvent], *, now_ns: int) -> dict[ClusterId, ClusterFacts]:
    """Return the clusters of a snapshot.

    Args:
        events: All that there is, of all clusters.
        now_ns: The bus's clock, nanoseconds since the Unix epoch.
    """
    clusters: dict[ClusterId, ClusterFacts] = {}
    for event in events:
        facts = clusters.get(event.cluster)
        if facts is None:
            facts = clusters[event.cluster] = ClusterFacts(cluster=event.cluster)
        _take(facts, event, now_ns)
    return clusters


def _take(facts: ClusterFacts, event: MeshEvent, now_ns: int) -> None:
    match event.data:
        case ClusterAnnounced() as announced:
            facts.announced = announced
            facts.lease_age_s = max(0.0, (now_ns - event.stored_at_ns) / 1e9)
        case NodeAnnounced() as node:
            facts.nodes[event.name] = node
        case ServiceExported(ready=ready):
            facts.exports += 1
            facts.exports_not_ready += not ready
        case LinkStated() as stated:
            facts.links[event.name] = stated
        case RefusalStated() as refusal:
            facts.refusals.append(refusal)
        case _:
            facts.unread = event.reason or facts.unread
