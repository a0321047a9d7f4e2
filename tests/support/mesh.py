"""Heliograph's programs in a laboratory's network: as an operator would run them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterator
from contextlib import contextmanager

from heliograph.lab.network import Cluster, Laboratory, Node, Program
from tests.support.planes import built_binary

LISTEN = "127.0.0.1:9405"
"""Where each agent serves its page, on its own node."""


class Mesh:
    """All programs of all clusters, as an operator would run them.

    Attributes:
        agents: By node.
        watchers: By cluster.
        reflectors: By cluster.
    """

    def __init__(self, laboratory: Laboratory, roaming: Container[str] = ()) -> None:
        """Prepare; the `roaming` nodes announce no endpoint."""
        self.laboratory, self._roaming = laboratory, roaming
        self.agents: dict[str, Program] = {}
        self.watchers: dict[str, Program] = {}
        self.reflectors: dict[str, Program] = {}
        self._wireguard = f"{built_binary()} wireguard-go"

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


@contextmanager
def running_mesh(laboratory: Laboratory, roaming: Container[str] = ()) -> Iterator[Mesh]:
    """Run all programs beside the body; the `roaming` nodes announce no endpoint."""
    mesh = Mesh(laboratory, roaming)
    asyncio.run(mesh.prepare())
    mesh.start()
    try:
        yield mesh
    finally:
        mesh.stop()
