"""An importing cluster among exporting ones, in miniature: nodes, Peers, and our planning between.

Nothing happens by itself: a test decides what is announced, written and edited, in which order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from heliograph.admission.decide import decide
from heliograph.admission.declaration import Admitted, declaration_of
from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced
from heliograph.contract.names import ClusterId
from services.peerer.operations import Operation, Plan
from services.peerer.picture import Picture
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable
from tests.support.kilo_model import KiloModel, Order, in_order
from tests.support.node_exporter import NodeExporter
from tests.support.peers import HERE, declaration, nodes

NOW = "2026-11-27T00:00:00Z"
_PASSES = 6


def announced(cluster: ClusterId, **ranges: tuple[str, ...]) -> ClusterAnnounced:
    """Return what a cluster says of itself."""
    declared = declaration(cluster, **ranges)
    return ClusterAnnounced(
        service_cidrs=declared.service_cidrs,
        pod_cidrs=declared.pod_cidrs,
        tunnel_cidrs=declared.tunnel_cidrs,
        peering="kilo",
    )


class PeerWorld:
    """The importing cluster `HERE`, with two nodes of its own.

    Attributes:
        exporters: All clusters' watchers, by id.
        kilo: The importing cluster's Peers.
        picture: What our code knows; anew after each `restart`.
        record: Who was admitted.
    """

    picture: Picture

    def __init__(self, *exporting: ClusterId, kilo: KiloModel | None = None) -> None:
        known = (HERE, *exporting)
        self.exporters = {cluster: NodeExporter(cluster, announced(cluster)) for cluster in known}
        self.kilo = kilo or KiloModel()
        self.record: Mapping[ClusterId, Admitted] = {}
        for name, node in nodes(2, HERE).items():
            self.exporters[HERE].announce(name, node)
        self.restart()

    def restart(self) -> None:
        """Forget everything; list the Peers, and hear every cluster's stream whole."""
        self.picture = Picture(HERE, PeererSettings(cluster=HERE))
        for cluster, exporter in self.exporters.items():
            table = self.picture.tables[cluster] = NodeTable(cluster)
            exporter.lease()
            exporter.replay_into(table)
        self._see()

    def announce(self, cluster: ClusterId, name: str, node: NodeAnnounced) -> None:
        """Let a cluster announce a node, and hear it."""
        self.exporters[cluster].announce(name, node).fold_into(self.picture.tables[cluster])
        self._see()

    def withdraw(self, cluster: ClusterId, name: str) -> None:
        """Let a cluster withdraw a node, and hear it."""
        self.exporters[cluster].withdraw(name).fold_into(self.picture.tables[cluster])
        self._see()

    def declare(self, cluster: ClusterId, **ranges: tuple[str, ...]) -> None:
        """Let a cluster declare its ranges anew, and hear it."""
        message = self.exporters[cluster].lease(announced=announced(cluster, **ranges))
        message.fold_into(self.picture.tables[cluster])
        self._see()

    def leave(self, cluster: ClusterId) -> None:
        """Let a cluster leave the ClusterSet, and hear it."""
        for message in self.exporters[cluster].leave():
            message.fold_into(self.picture.tables[cluster])
        self._see()

    def come_back(self, cluster: ClusterId) -> None:
        """Let a cluster that left take part again, without nodes, and hear it."""
        exporter = self.exporters[cluster]
        exporter.come_back()
        exporter.lease()
        exporter.replay_into(self.picture.tables[cluster])
        self._see()

    @property
    def exporting(self) -> list[ClusterId]:
        """The exporting clusters, and whoever else has Peers here."""
        known = self.kilo.own().exporting() | set(self.exporters)
        return sorted(known - {HERE})

    def plan(self, cluster: ClusterId) -> Plan:
        """Return what is to be done about one cluster's Peers now."""
        self.picture.own = self.kilo.own()
        return self.picture.plan(cluster)

    def step(self, cluster: ClusterId, order: Order = in_order) -> tuple[Operation, ...]:
        """Carry the first phase of one cluster's plan out; return it."""
        plan = self.plan(cluster)
        phase = tuple(plan.additions or plan.handovers or plan.deletions)
        for operation in order(phase):
            self.kilo.apply(operation)
        return phase

    def settle(
        self, order: Order = in_order, seen: Callable[[ClusterId], None] = lambda _: None
    ) -> list[Operation]:
        """Carry all plans out until nothing is left to do; `seen` is called after each phase."""
        done: list[Operation] = []
        for _ in range(_PASSES):
            before = len(done)
            for cluster in self.exporting:
                for _ in range(_PASSES):
                    phase = self.step(cluster, order)
                    seen(cluster)
                    done += phase
                    if not phase:
                        break
                else:
                    raise AssertionError(f"not settled: {self.plan(cluster).operations}")
            if len(done) == before:
                return done
        raise AssertionError("clusters undo one another's work")

    def _see(self) -> None:
        """Decide who is admitted, and let the picture know that something has changed."""
        heard = {c: t.announced for c, t in self.picture.tables.items() if t.announced}
        declared = {c: declaration_of(c, message) for c, message in heard.items()}
        self.picture.declared = own = declared.pop(HERE)
        self.picture.decision = decide(own, declared.values(), self.record, NOW)
        self.record = self.picture.decision.record
        self.picture.changed()
