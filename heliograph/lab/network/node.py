"""A node of a cluster: kube-proxy runs in it, and pods hang on it."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address
from pathlib import Path

from heliograph.lab.network import objects, wiring
from heliograph.lab.network.addresses import FIRST_POD, NodePlan
from heliograph.lab.network.api import Api
from heliograph.lab.network.host import Host
from heliograph.lab.network.namespaces import Namespaces
from heliograph.lab.network.program import Program
from heliograph.lab.network.tools import ip, nft


class Node(Host):
    """A node.

    Attributes:
        node: Its name in Kubernetes.
        plan: Its address and the range of its pods.
        kube_proxy: The program, once it was started.
    """

    def __init__(
        self, node: str, plan: NodePlan, *, gateway: Host, namespaces: Namespaces, folder: Path
    ) -> None:
        super().__init__(folder.parent.name + "/" + node, namespaces, folder)
        self.node, self.plan, self._gateway = node, plan, gateway
        self.kube_proxy: Program | None = None
        self._numbers = itertools.count(FIRST_POD)

    @property
    def address(self) -> IPv4Address:
        """Its InternalIP."""
        return self.plan.address

    def next_pod(self) -> tuple[str, IPv4Address]:
        """Return the name of the next pod's link on this node, and the pod's address."""
        number = next(self._numbers)
        return f"pod{number}", self.plan.pods[number]

    async def register(self, api: Api) -> None:
        """Write the Node and its status, as its kubelet would."""
        await api.create("/api/v1/nodes", objects.node(self.node, self.plan.pods))
        await self.report(api, ready=True)

    async def report(self, api: Api, *, ready: bool) -> None:
        """Say in the Node's status whether it is ready."""
        body = objects.node_status(self.address, self.node, ready=ready)
        await api.merge(f"/api/v1/nodes/{self.node}/status", body)

    async def cut(self) -> None:
        """Let every packet from it and to it vanish, till `mend`; in here nothing else changes."""
        await nft(self._gateway, wiring.silence(self.node, cut=True))

    async def mend(self) -> None:
        """Let packets pass again."""
        await nft(self._gateway, wiring.silence(self.node, cut=False))

    async def link_pod(self, port: str, pod: Host, address: IPv4Address, mtu: int) -> None:
        """Wire a pod to this node."""
        ends = wiring.End(self.pid, port), wiring.End(pod.pid, wiring.PORT)
        own = wiring.pod_of_node(port, address, self.plan)
        await ip(self, [wiring.link(*ends, mtu), *own])
        await ip(pod, wiring.pod(address, self.plan))
