"""Heliograph's programs in a network: as an operator would run them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from heliograph.lab.network.cluster import Cluster
from heliograph.lab.network.laboratory import Laboratory
from heliograph.lab.network.node import Node
from heliograph.lab.network.program import Program

LISTEN: Final = "127.0.0.1:9405"
"""Where each agent serves its page, on its own node."""


class Mesh:
    """All programs of all clusters.

    Attributes:
        laboratory: Where they run.
        agents: By node.
        watchers: By cluster.
        reflectors: By cluster.
    """

    def __init__(
        self, laboratory: Laboratory, wireguard: Sequence[str], *, roaming: Container[str] = ()
    ) -> None:
        """Prepare.

        Args:
            laboratory: Where to run.
            wireguard: The command of wireguard-go, for machines whose kernel has no WireGuard.
            roaming: Nodes that announce no endpoint.
        """
        self.laboratory, self._roaming = laboratory, roaming
        self.agents: dict[str, Program] = {}
        self.watchers: dict[str, Program] = {}
        self.reflectors: dict[str, Program] = {}
        self._wireguard = " ".join(wireguard)

    async def prepare(self) -> None:
        """Make the namespace that the programs' record is kept in, as the how-to does."""
        for cluster in self.laboratory.clusters.values():
            (await cluster.kubectl("create", "namespace", "heliograph")).text()

    def start(self) -> None:
        """Start everything."""
        for cluster in self.laboratory.clusters.values():
            where = cluster.control_plane
            common = self.common(cluster)
            self.watchers[cluster.name] = where.heliograph("watcher", *common)
            self.reflectors[cluster.name] = where.heliograph(
                "reflector", *common, *self._imports(cluster), "--create-namespaces"
            )
            for node in cluster.nodes:
                self.agents[node.node] = self.start_agent(cluster, node)

    def start_agent(self, cluster: Cluster, node: Node) -> Program:
        """Start the agent of one node."""
        return node.heliograph("peerer", *self.agent_flags(cluster, node))

    def agent_flags(self, cluster: Cluster, node: Node) -> tuple[str, ...]:
        """Return what the agent of a node is told."""
        return (
            "--backend=wireguard",
            f"--node={node.node}",
            f"--listen={LISTEN}",
            f"--key-file={node.folder / 'wireguard.key'}",
            f"--userspace={self._wireguard}",
            *(("--endpoint=none",) if node.node in self._roaming else ()),
            *self.common(cluster),
            *self._imports(cluster),
        )

    def stop(self) -> None:
        """End all programs; the tunnels' own end with their hosts."""
        for program in (*self.agents.values(), *self.watchers.values(), *self.reflectors.values()):
            program.stop()

    def common(self, cluster: Cluster) -> tuple[str, ...]:
        """Return what every program of a cluster is told."""
        return (
            f"--cluster={cluster.name}",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--nats={cluster.nats_url}",
        )

    def _imports(self, cluster: Cluster) -> tuple[str, ...]:
        others = (one for one in self.laboratory.clusters.values() if one is not cluster)
        return tuple(f"--import-from={one.name}={one.nats_url}" for one in others)
