"""Heliograph's programs in a laboratory's network: as an operator would run them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Final

import msgspec

from heliograph.contract.tunnels import Tunnel
from heliograph.lab.network.cluster import Cluster
from heliograph.lab.network.host import Host, Outcome
from heliograph.lab.network.laboratory import Laboratory
from heliograph.lab.network.node import Node
from heliograph.lab.network.pages import answers
from heliograph.lab.network.program import Program
from heliograph.web import parse_listen

LISTEN: Final = "127.0.0.1:9405"
"""Where each agent serves its page, on its own node."""
WATCHER_LISTEN: Final = "127.0.0.1:9401"
"""Where a watcher does, on the control plane's host."""
REFLECTOR_LISTEN: Final = "127.0.0.1:9402"
"""Where a reflector does, likewise."""


class _Node(msgspec.Struct):
    node: str
    tunnels: tuple[Tunnel, ...]


class _Report(msgspec.Struct):
    """What is needed of that which `heliograph peers --output=json` prints."""

    nodes: tuple[_Node, ...]


class Mesh:
    """All programs of all clusters, as an operator would run them.

    Attributes:
        agents: By node.
        watchers: By cluster.
        reflectors: By cluster.
    """

    def __init__(
        self, laboratory: Laboratory, binary: Path, *, roaming: Container[str] = ()
    ) -> None:
        """Prepare.

        Args:
            laboratory: Its clusters are joined.
            binary: The control planes' binary, which is a wireguard-go too.
            roaming: Nodes that announce no endpoint.
        """
        self.laboratory, self._roaming = laboratory, roaming
        self.agents: dict[str, Program] = {}
        self.watchers: dict[str, Program] = {}
        self.reflectors: dict[str, Program] = {}
        self._wireguard = f"{binary} wireguard-go"

    @property
    def programs(self) -> tuple[Program, ...]:
        """All of them."""
        return (*self.agents.values(), *self.watchers.values(), *self.reflectors.values())

    async def prepare(self) -> None:
        """Make the namespace that the programs' record is kept in, as the how-to does."""
        for cluster in self.laboratory.clusters.values():
            (await cluster.kubectl("create", "namespace", "heliograph")).text()

    def start(self) -> None:
        """Start everything; see `ready`."""
        for cluster in self.laboratory.clusters.values():
            where = cluster.control_plane
            common = self.common(cluster)
            self.watchers[cluster.name] = where.heliograph(
                "watcher", f"--listen={WATCHER_LISTEN}", *common
            )
            self.reflectors[cluster.name] = where.heliograph(
                "reflector",
                f"--listen={REFLECTOR_LISTEN}",
                *common,
                *self._imports(cluster),
                "--create-namespaces",
            )
            for node in cluster.nodes:
                self.agents[node.node] = self.start_agent(cluster, node)

    async def ready(self, *, within_s: float) -> None:
        """Wait until all programs say on their pages that they are ready.

        Raises:
            ProcessFailed: One of them ended, or was not ready in time; quotes its log.
        """
        await asyncio.gather(
            *(
                program.until(_says_ready(host, listen), within_s=within_s)
                for program, host, listen in self._pages()
            )
        )

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
        for program in self.programs:
            program.stop()

    def common(self, cluster: Cluster) -> tuple[str, ...]:
        """Return what every program of a cluster is told."""
        return (
            f"--cluster={cluster.name}",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--nats={cluster.nats_url}",
        )

    async def peers(self, cluster: Cluster, *arguments: str) -> Outcome:
        """Run `heliograph peers` in a cluster."""
        reach = (f"--cluster={cluster.name}", f"--nats={cluster.nats_url}")
        return await cluster.control_plane.heliograph_once("peers", *arguments, *reach)

    async def tunnels(self, cluster: Cluster, *which: str) -> dict[str, tuple[Tunnel, ...]]:
        """Return tunnels by node, as `heliograph peers` tells them, with its arguments.

        Raises:
            CommandFailed: An agent does not answer, or nobody has such a tunnel.
        """
        told = (await self.peers(cluster, *which, "--output=json")).text()
        return {n.node: n.tunnels for n in msgspec.json.decode(told, type=_Report).nodes}

    async def claims(self, cluster: Cluster, node: str) -> list[str]:
        """Return the nodes that a node has claims at; raises as `tunnels` does."""
        found = (await self.tunnels(cluster, node)).get(node, ())
        return sorted(tunnel.peer for tunnel in found if tunnel.claims)

    def _imports(self, cluster: Cluster) -> tuple[str, ...]:
        others = (one for one in self.laboratory.clusters.values() if one is not cluster)
        return tuple(f"--import-from={one.name}={one.nats_url}" for one in others)

    def _pages(self) -> Iterator[tuple[Program, Host, str]]:
        for cluster in self.laboratory.clusters.values():
            yield self.watchers[cluster.name], cluster.control_plane, WATCHER_LISTEN
            yield self.reflectors[cluster.name], cluster.control_plane, REFLECTOR_LISTEN
            for node in cluster.nodes:
                yield self.agents[node.node], node, LISTEN


def _says_ready(host: Host, listen: str) -> Callable[[], bool]:
    address = parse_listen(listen)
    return lambda: answers(host, address, "/readyz")
