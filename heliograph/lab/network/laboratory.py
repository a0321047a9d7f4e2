"""A laboratory: clusters around one router, in namespaces of their own, from start to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from heliograph.lab.controlplane import built_path, ensure_built
from heliograph.lab.network import wiring
from heliograph.lab.network.addresses import ClusterPlan, plan_addresses
from heliograph.lab.network.cluster import Cluster, ClusterHosts
from heliograph.lab.network.host import Host
from heliograph.lab.network.machine import require_tools, used_ranges
from heliograph.lab.network.namespaces import Namespaces
from heliograph.lab.network.node import Node
from heliograph.lab.network.router import Router
from heliograph.lab.network.spec import ClusterSpec, LaboratorySpec
from heliograph.lab.network.tools import ip, nft
from heliograph.progress import Progress, Step

_GATEWAY: Final = "gateway"
_CONTROL_PLANE: Final = "control-plane"
_WHERE: Final = ("all", "default")
_NOT_BUILT: Final = Path("/nonexistent/heliograph-controlplane")  # and nothing runs it


def _quietly(_step: Step) -> None:
    """Tell nobody."""


class Laboratory:
    """A network that lives as long as `async with`, and in no case longer than this process.

    Args:
        spec: What it is like.
        folder: Empty or absent; takes keys, data and logs. It is not removed.
        progress: Told how far it is, for a person who waits.

    Attributes:
        clusters: By name.
        router: The way from cluster to cluster.
    """

    def __init__(
        self, spec: LaboratorySpec, folder: Path, *, progress: Progress = _quietly
    ) -> None:
        self._spec, self._folder, self._progress = spec, folder.absolute(), progress
        self._holder: Namespaces | None = None
        self._router: Router | None = None
        self._hosts: list[Namespaces] = []
        self.clusters: dict[str, Cluster] = {}

    @property
    def router(self) -> Router:
        """The way from cluster to cluster."""
        if self._router is None:
            raise RuntimeError("the laboratory is not started: use `async with`")
        return self._router

    async def __aenter__(self) -> Self:
        """Build the network and start the clusters; on any error end what has been started.

        Raises:
            NetworkUnavailable: This machine cannot have a network; says what is missing.
            ControlPlaneUnavailable: The control planes' binary cannot be built here.
        """
        require_tools()
        binary = built_path()
        if binary is None and self._spec.kubernetes:
            binary = await ensure_built(self._progress)
        try:
            await self._build(binary or _NOT_BUILT)
            if self._spec.kubernetes:
                self._progress(Step(f"starting {len(self.clusters)} clusters"))
                await asyncio.gather(*(cluster.start() for cluster in self.clusters.values()))
        except BaseException:
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """End everything at once; safe to repeat."""
        if self._holder is not None:
            self._holder.kill()
        for cluster in self.clusters.values():
            cluster.stop()
        for host in self._hosts:
            host.kill()

    async def _build(self, binary: Path) -> None:
        plans = plan_addresses(self._spec, used_ranges())
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / "resolv.conf").touch()
        self._holder = self._namespaces("router", wiring.FORWARDING)
        await asyncio.to_thread(self._holder.wait)
        self._router = Router(Host("router", self._holder, self._folder / "router"))
        built = await asyncio.gather(
            *(self._hosts_of(cluster, plans[cluster.name]) for cluster in self._spec.clusters)
        )
        await ip(self._router.host, wiring.router(plans.items()))
        for spec, hosts in zip(self._spec.clusters, built, strict=True):
            folder = self._folder / spec.name
            self.clusters[spec.name] = Cluster(
                spec, plans[spec.name], hosts, binary=binary, folder=folder
            )

    async def _hosts_of(self, spec: ClusterSpec, plan: ClusterPlan) -> ClusterHosts:
        folder = self._folder / spec.name
        filters = {f"ipv4/conf/{where}/rp_filter": str(spec.rp_filter) for where in _WHERE}
        names = (_GATEWAY, _CONTROL_PLANE, *plan.nodes)
        sysctls = [wiring.FORWARDING | wiring.BRIDGING, {}]
        sysctls += [wiring.FORWARDING | filters for _ in plan.nodes]
        made = [self._namespaces(*each) for each in zip(names, sysctls, strict=True)]
        await asyncio.gather(*(asyncio.to_thread(each.wait) for each in made))
        gateway, control_plane, *nodes = made
        door = Host(f"{spec.name}/{_GATEWAY}", gateway, folder / _GATEWAY)
        head = Host(f"{spec.name}/{_CONTROL_PLANE}", control_plane, folder / _CONTROL_PLANE)
        members = {
            name: Node(name, plan.nodes[name], gateway=door, namespaces=each, folder=folder / name)
            for name, each in zip(plan.nodes, nodes, strict=True)
        }
        hosts = ClusterHosts(gateway=door, control_plane=head, nodes=members)
        await self._wire(spec, plan, hosts)
        return hosts

    async def _wire(self, spec: ClusterSpec, plan: ClusterPlan, hosts: ClusterHosts) -> None:
        lines = _links(self.router.host, spec, hosts)
        await ip(self.router.host, lines)
        await ip(hosts.gateway, wiring.gateway(plan, (_CONTROL_PLANE, *hosts.nodes)))
        await ip(hosts.control_plane, wiring.member(plan.control_plane, plan))
        members = hosts.nodes.values()
        await asyncio.gather(*(ip(node, wiring.member(node.address, plan)) for node in members))
        behind = [hosts.nodes[node.name].address for node in spec.nodes if node.nat]
        if behind:
            await nft(hosts.gateway, wiring.nat(behind))

    def _namespaces(self, name: str, sysctls: dict[str, str]) -> Namespaces:
        made = Namespaces(
            name,
            resolver=self._folder / "resolv.conf",
            sysctls=sysctls | wiring.QUIET,
            inside=None if self._holder is None else self._holder.pid,
        )
        self._hosts.append(made)
        return made


def _links(router: Host, spec: ClusterSpec, hosts: ClusterHosts) -> Iterable[str]:
    """Return the lines that make all links of a cluster but those of pods."""
    gateway = hosts.gateway.pid
    outer = wiring.End(router.pid, spec.name), wiring.End(gateway, wiring.UPLINK)
    yield wiring.link(*outer, spec.uplink_mtu)
    head = wiring.End(hosts.control_plane.pid, wiring.PORT)
    yield wiring.link(wiring.End(gateway, _CONTROL_PLANE), head, spec.mtu)
    for node in spec.nodes:
        port = wiring.End(hosts.nodes[node.name].pid, wiring.PORT)
        mtu = spec.mtu if node.mtu is None else node.mtu
        yield wiring.link(wiring.End(gateway, node.name), port, mtu)
