"""A node's tunnels among other clusters, in miniature: what is announced, and its device.

Nothing happens by itself: a test decides what is announced, heard and set, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.admission.decide import decide
from heliograph.admission.declaration import Admitted, declaration_of
from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.wireguard.device import DeviceChange
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable
from services.peerer.wireguard.picture import Picture, Wanted
from services.peerer.wireguard.plan import plan_device
from tests.support.device_model import DeviceModel
from tests.support.node_exporter import NodeExporter
from tests.support.peers import EAST, HERE, NUMBERS, declaration, node

NOW = "2026-11-27T00:00:00Z"
KEEPALIVE_S = 25
_PASSES = 4
"""As many as the agent makes before it says that somebody else is at work."""


def agents_node(number: int = 1, cluster: ClusterId = EAST, **fields: Any) -> NodeAnnounced:  # noqa: ANN401
    """Return a node with an agent of ours: pods 10.C.N.0/24, tunnel address 10.20C.0.N."""
    usual: dict[str, Any] = {
        "peering": "wireguard",
        "granularity": "",
        "private_ip": None,
        "tunnel_ip": f"10.{200 + NUMBERS[cluster]}.0.{number}/16",
    }
    return node(number, cluster, **(usual | fields))


def agents_nodes(count: int, cluster: ClusterId = EAST) -> dict[str, NodeAnnounced]:
    """Return nodes n1, n2, … of a cluster."""
    return {f"n{number}": agents_node(number, cluster) for number in range(1, count + 1)}


def announced(cluster: ClusterId, **ranges: tuple[str, ...]) -> ClusterAnnounced:
    """Return what a cluster says of itself."""
    declared = declaration(cluster, **ranges)
    return ClusterAnnounced(
        service_cidrs=declared.service_cidrs,
        pod_cidrs=declared.pod_cidrs,
        tunnel_cidrs=declared.tunnel_cidrs,
        peering="wireguard",
    )


class TunnelWorld:
    """Node n1 of the importing cluster `HERE`, and exporting clusters.

    Attributes:
        exporters: All clusters' watchers, by id.
        device: The node's device.
        picture: What our code knows; anew after each `restart`.
        record: Who was admitted.
        now_s: The time that passed.
    """

    picture: Picture

    def __init__(self, *exporting: ClusterId) -> None:
        known = (HERE, *exporting)
        self.exporters = {cluster: NodeExporter(cluster, announced(cluster)) for cluster in known}
        self.device = DeviceModel()
        self.record: Mapping[ClusterId, Admitted] = {}
        self.now_s = 0.0
        for name, one in agents_nodes(2, HERE).items():
            self.exporters[HERE].announce(name, one)
        self.restart()

    def restart(self, *, unheard: tuple[ClusterId, ...] = ()) -> None:
        """Forget everything; hear every cluster's stream whole, but for some that are away."""
        self.picture = Picture(HERE, PeererSettings(cluster=HERE, backend="wireguard"), node="n1")
        for cluster in self.exporters.keys() - set(unheard):
            self.hear(cluster)

    def hear(self, cluster: ClusterId) -> None:
        """Hear a cluster's stream whole, anew."""
        table = self.picture.tables[cluster] = NodeTable(cluster)
        self.exporters[cluster].lease()
        self.exporters[cluster].replay_into(table)
        self.see()

    def announce(self, cluster: ClusterId, **announced_nodes: NodeAnnounced) -> None:
        """Let a cluster announce nodes, and hear it."""
        for name, one in announced_nodes.items():
            message = self.exporters[cluster].announce(name, one)
            message.fold_into(self.picture.tables[cluster])
        self.see()

    def withdraw(self, cluster: ClusterId, name: str) -> None:
        """Let a cluster withdraw a node, and hear it."""
        self.exporters[cluster].withdraw(name).fold_into(self.picture.tables[cluster])
        self.see()

    def declare(self, cluster: ClusterId, **ranges: tuple[str, ...]) -> None:
        """Let a cluster declare its ranges anew, and hear it."""
        message = self.exporters[cluster].lease(announced=announced(cluster, **ranges))
        message.fold_into(self.picture.tables[cluster])
        self.see()

    def leave(self, cluster: ClusterId) -> None:
        """Let a cluster leave the ClusterSet, and hear it."""
        for message in self.exporters[cluster].leave():
            message.fold_into(self.picture.tables[cluster])
        self.see()

    def see(self) -> None:
        """Decide who is admitted, and let the picture know that something has changed."""
        heard = {c: t.announced for c, t in self.picture.tables.items() if t.announced}
        declared = {c: declaration_of(c, message) for c, message in heard.items()}
        self.picture.declared = own = declared.pop(HERE, None)
        self.picture.decision = decide(own, declared.values(), self.record, NOW)
        self.record = self.picture.decision.record
        self.picture.changed()

    def wanted(self) -> Wanted:
        """Return what should stand now."""
        return self.picture.wanted(self.device.device(), persistent_keepalive=KEEPALIVE_S)

    def settle(self) -> list[DeviceChange]:
        """Make the device what it should be, as the agent does; return what was done."""
        done: list[DeviceChange] = []
        for _ in range(_PASSES):
            wanted = self.wanted()
            plan = plan_device(wanted.targets, self.device.device(), certain=wanted.certain)
            if not plan:
                self.picture.endpoints_set(wanted.targets)
                return done
            self.device.apply(plan)
            done += plan
        raise AssertionError(f"not settled: {done}")

    def pass_time(self, seconds: float, *answering: str) -> None:
        """Let time pass, and look each second; the peers with these keys answer all the time."""
        for _ in range(int(seconds)):
            self.now_s += 1.0
            for key in answering:
                self.device.receive(key)
            self.picture.health.look(self.device.device(), now_s=self.now_s)

    def ranges(self, key: str) -> set[str]:
        """Return the ranges that a peer has."""
        return {cidr for cidr, holder in self.device.holders.items() if holder == key}
