"""A cluster of the network: its hosts, its control plane, its pods, and what it takes to run."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from heliograph.lab.access import write_kubeconfig
from heliograph.lab.controlplane import ControlPlane, ControlPlaneSettings
from heliograph.lab.controlplane.place import Place
from heliograph.lab.entered import entering
from heliograph.lab.network import objects
from heliograph.lab.network.addresses import ClusterPlan
from heliograph.lab.network.api import Api
from heliograph.lab.network.bus import NATS_PORT, start_nats
from heliograph.lab.network.host import Host, Outcome
from heliograph.lab.network.namespaces import Namespaces
from heliograph.lab.network.node import Node
from heliograph.lab.network.pages import answers
from heliograph.lab.network.pod import Pod, PodPlace
from heliograph.lab.network.program import Program
from heliograph.lab.network.spec import ClusterSpec
from heliograph.lab.network.wiring import QUIET

API_PORT: Final = 6443

_READY_PORT: Final = 8181  # CoreDNS' plugin ready
_UP_S: Final = 60.0  # a second or two on an idle machine
_DRAIN_S: Final = 3.0  # kube-proxy's rules follow within one second, its --min-sync-period
_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class ClusterHosts(msgspec.Struct, frozen=True, kw_only=True):
    """The hosts that a cluster begins with, wired already.

    Attributes:
        gateway: Between the cluster's segment and the router.
        control_plane: etcd, kube-apiserver, kube-controller-manager and nats-server run there.
        nodes: By name.
    """

    gateway: Host
    control_plane: Host
    nodes: dict[str, Node]


class Cluster:
    """One cluster.

    Args:
        spec: What it is like.
        plan: Its addresses.
        hosts: Its hosts.
        binary: The multi-call binary.
        folder: Takes all its files.

    Attributes:
        name: The cluster's id.
        plan: Its ranges and addresses.
        gateway, control_plane: Hosts, see `ClusterHosts`.
        plane: The control plane, with all that can happen to it.
        nats: The program nats-server.
        kubeconfig: A file for programs inside the network: an administrator's, context `name`.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        plan: ClusterPlan,
        hosts: ClusterHosts,
        *,
        binary: Path,
        folder: Path,
    ) -> None:
        self.name, self.plan, self._spec, self._binary = spec.name, plan, spec, binary
        self.gateway, self.control_plane, self._nodes = (
            hosts.gateway,
            hosts.control_plane,
            hosts.nodes,
        )
        self.folder, self.kubeconfig = folder, folder / "kubeconfig"
        self.plane = self._control_plane()
        self._pods: dict[tuple[str, str], Pod] = {}
        self._nats: Program | None = None

    @property
    def nats(self) -> Program:
        """nats-server, on the control plane's host."""
        if self._nats is None:
            raise RuntimeError(f"{self.name} is not started")
        return self._nats

    @property
    def nats_url(self) -> str:
        """Where programs inside the network find this cluster's nats-server."""
        return f"nats://{self.plan.control_plane}:{NATS_PORT}"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order of the specification."""
        return tuple(self._nodes.values())

    def node(self, name: str) -> Node:
        """Return a node by its name."""
        return self._nodes[name]

    def pod(self, name: str, namespace: str = "default") -> Pod:
        """Return a pod that was added."""
        return self._pods[namespace, name]

    @property
    def api(self) -> Api:
        """Writes objects, from outside of the network."""
        return Api(self.plane.access, self.control_plane.connect)

    async def kubectl(self, *arguments: str | Path, stdin: str = "") -> Outcome:
        """Run kubectl, as this cluster's administrator, on the control plane's host."""
        command = (self._binary, "kubectl", "--kubeconfig", self.kubeconfig, *arguments)
        return await self.control_plane.run(command, stdin=stdin)

    async def start(self) -> None:
        """Start everything and wait until Services and cluster DNS work on every node."""
        self._nats = start_nats(self.control_plane, self.plan.control_plane)
        await asyncio.to_thread(self.plane.start)
        write_kubeconfig(self.kubeconfig, [self.plane.access])
        for node in self.nodes:
            self.start_kube_proxy(node)
        await asyncio.gather(*(node.register(self.api) for node in self.nodes))
        await self._start_dns()
        await asyncio.gather(*map(self._wait_for_services, self.nodes))

    def start_kube_proxy(self, node: Node) -> None:
        """Start kube-proxy on a node, in nftables mode."""
        flags = [
            "--proxy-mode=nftables",
            f"--kubeconfig={self.kubeconfig}",
            f"--hostname-override={node.node}",
            "--conntrack-max-per-core=0",  # it and the next belong to the whole machine
            "--conntrack-min=0",
        ]
        if self._spec.cluster_cidr:
            flags.append(f"--cluster-cidr={self.plan.pods}")
        node.kube_proxy = node.spawn((self._binary, "kube-proxy", *flags), name="kube-proxy")

    async def add_pod(
        self,
        name: str,
        *,
        node: str,
        labels: Mapping[str, str] = _NO_LABELS,
        namespace: str = "default",
        serves: int | None = None,
    ) -> Pod:
        """Make a pod: its namespaces, its link to its node, and the Pod object, running and ready.

        Args:
            name: Its name.
            node: Its node's name.
            labels: By which Services select it.
            namespace: It must be there.
            serves: A TCP port on which it answers with its name, before it is said to be ready.
        """
        pod = await self._make_pod(name, self.node(node), namespace, labels)
        if serves is not None:
            await pod.serve(serves)
        await pod.report(ready=True)
        return pod

    async def remove_pod(
        self, name: str, namespace: str = "default", *, drain_s: float = _DRAIN_S
    ) -> None:
        """Take a pod away, as its kubelet would: say that it ends, let it serve on, kill it.

        Args:
            name: Its name.
            namespace: Its namespace.
            drain_s: How long it serves on, as with a preStop hook; 0 for a pod that just dies.
        """
        pod = self._pods.pop((namespace, name))
        await self.api.delete(pod.place.path, grace_s=30)
        await asyncio.sleep(drain_s)
        await asyncio.to_thread(pod.kill)
        await self.api.delete(pod.place.path, grace_s=0)

    def stop(self) -> None:
        """Reap what has run here; the network's holder is gone already."""
        self.plane.stop()
        for host in (*self._pods.values(), *self.nodes, self.control_plane, self.gateway):
            host.kill()

    def _control_plane(self) -> ControlPlane:
        host = self.control_plane
        place = Place(
            address=str(self.plan.control_plane),
            port=API_PORT,
            prefix=entering(host.pid),
            connect=host.connect,
        )
        return ControlPlane(
            ControlPlaneSettings(name=self.name, service_cidrs=(str(self.plan.services),)),
            binary=self._binary,
            folder=host.folder / "plane",
            place=place,
        )

    async def _make_pod(
        self, name: str, node: Node, namespace: str, labels: Mapping[str, str]
    ) -> Pod:
        folder = self.folder / "pods" / namespace / name
        shutil.rmtree(folder, ignore_errors=True)  # of one with the same name, which is gone
        folder.mkdir(parents=True)
        resolver = folder / "resolv.conf"
        resolver.write_text(objects.resolver(self.plan.dns, namespace), encoding="utf-8")
        namespaces = Namespaces(name, resolver=resolver, sysctls=QUIET, inside=node.pid)
        port, address = node.next_pod()
        place = PodPlace(name=name, namespace=namespace, node=node.node, address=address)
        pod = Pod(place, cluster=self.name, namespaces=namespaces, folder=folder, api=self.api)
        self._pods[namespace, name] = pod
        await asyncio.to_thread(namespaces.wait)
        await node.link_pod(port, pod, address, self._spec.pod_mtu)
        path = f"/api/v1/namespaces/{namespace}/pods"
        await self.api.create(path, objects.pod(name, node.node, labels))
        return pod

    async def _start_dns(self) -> None:
        services = f"/api/v1/namespaces/{objects.DNS_NAMESPACE}/services"
        await self.api.create(services, objects.dns_service(self.plan.dns))
        pod = await self._make_pod(
            "coredns", self.nodes[0], objects.DNS_NAMESPACE, objects.DNS_LABELS
        )
        file = pod.folder / "Corefile"
        file.write_text(objects.corefile(str(self.kubeconfig)), encoding="utf-8")
        program = pod.spawn((self._binary, "coredns", file), name="coredns")
        address = (str(pod.address), _READY_PORT)
        await program.until(lambda: answers(pod, address, "/ready"), within_s=_UP_S)
        await pod.report(ready=True)

    async def _wait_for_services(self, node: Node) -> None:
        """Wait until a node reaches the Service kube-dns: then its kube-proxy is at work."""
        if node.kube_proxy is not None:
            address = (str(self.plan.dns), objects.DNS_PORT)
            await node.kube_proxy.until(lambda: node.reaches(address), within_s=_UP_S)
