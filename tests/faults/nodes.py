"""The nodes of one exporting cluster as the test has last made them, and the Peers they must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec
from typing_extensions import override

from heliograph.kilo.peer import Peer
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, NotFound
from heliograph.kube.objects import ObjectMeta, Resource, T
from heliograph.lab.kilo import KiloNode, KiloNodes, kilo_nodes, kilo_subnet
from tests.faults.stage import RANGES
from tests.faults.writer import patiently

_SILENT_S = 100


class PatientClient(KubeClient):
    """Writes as somebody who tries until it is done, whatever is away."""

    @override
    async def create(self, resource: Resource[T], obj: T) -> T:
        create = super().create
        try:
            return await patiently(lambda: create(resource, obj))
        except AlreadyExists:  # made by an attempt whose answer was lost
            where = obj.metadata.namespace, obj.metadata.name
            return await patiently(lambda: self.get(resource, *where))

    @override
    async def merge_patch(
        self, resource: Resource[T], namespace: str, name: str, patch: Mapping[str, object]
    ) -> T:
        merge_patch = super().merge_patch
        return await patiently(lambda: merge_patch(resource, namespace, name, patch))

    @override
    async def delete(self, resource: Resource[T], metadata: ObjectMeta) -> None:
        delete = super().delete
        with suppress(NotFound):
            await patiently(lambda: delete(resource, metadata))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A Peer as far as it is checked, without what one of them has for all.

    Attributes:
        public_key: The node's.
        port: Of its endpoint.
        allowed_ips: What is its own.
        healthy: Whether it may be given what one of them has for all, if others are not.
    """

    public_key: str
    port: int
    allowed_ips: tuple[str, ...]
    healthy: bool = msgspec.field(default=True)


class ClusterNodes:
    """The nodes of one cluster; the model is changed as the change begins.

    Attributes:
        kilo: Plays their agents.
        steady: Those whose Peers may not go: nobody took them away since all was as it must be.
    """

    def __init__(self, cluster: str, client: KubeClient) -> None:
        self.cluster = cluster
        self._number = list(RANGES).index(cluster)
        self.kilo = KiloNodes(
            client, subnet=kilo_subnet(self._number), heartbeat_s=20, seed=self._number
        )
        self._silent: set[str] = set()
        self.steady: set[str] = set()

    @property
    def _marker(self) -> str:
        return f"{self.cluster}-marker"

    @property
    def running(self) -> list[str]:
        """The nodes whose hearts beat, but for the marker."""
        return [n for n in self.kilo.names if n not in (self._marker, *self.still)]

    @property
    def still(self) -> list[str]:
        """The nodes whose hearts have stopped."""
        return sorted(self._silent)

    async def add_marker(self) -> None:
        """Add the node whose changes pass behind all others."""
        await self.kilo.add(msgspec.structs.replace(self._node(1), name=self._marker))

    async def mark(self) -> None:
        """Change the marker."""
        host, _, port = self.kilo.node(self._marker).endpoint.partition(":")
        await self.change(self._marker, endpoint=f"{host}:{int(port) % 60_000 + 1}")

    async def add(self, number: int) -> None:
        """Add the node of a number, from 2; its name is always the same, its key is new."""
        await self.kilo.add(self._node(number))

    async def remove(self, name: str) -> None:
        """Delete a node."""
        self.interrupt(name)
        self._silent.discard(name)
        await self.kilo.remove(name)

    async def change(self, name: str, **facts: str) -> None:
        """Change facts of a running node."""
        await self.kilo.change(name, **facts)

    async def change_key(self, name: str) -> None:
        """Give a running node another key."""
        await self.kilo.change_key(name)

    async def rollout(self, name: str) -> None:
        """Replace a node's agent; meanwhile a bus that loses its store may lose the node."""
        self.interrupt(name)
        await self.kilo.rollout(name, pause_s=0.2)

    async def fall_silent(self, name: str) -> None:
        """Let its heart have stopped, for less than its grace time."""
        self._silent.add(name)
        await self.kilo.go_silent(name, ago_s=_SILENT_S)

    async def start(self, name: str) -> None:
        """Let the heart of a silent node beat again."""
        self._silent.discard(name)
        await self.kilo.start(name)

    def interrupt(self, name: str) -> None:
        """Note that its Peers may go."""
        self.steady.discard(name)

    def settle(self) -> None:
        """Note that every cluster was seen to have what is wanted now."""
        self.steady = set(self.kilo.names)

    def wanted(self) -> dict[str, Wanted]:
        """Return the Peers that each other cluster must have of it."""
        return {f"{self.cluster}.node.{name}": self._wanted(name) for name in self.kilo.names}

    def _wanted(self, name: str) -> Wanted:
        node, healthy = self.kilo.node(name), name not in self._silent
        tunnel = self.kilo.tunnel_ip(name).partition("/")[0]
        own = [node.pod_cidr, f"{node.internal_ip.partition('/')[0]}/32"]
        return Wanted(
            public_key=node.key,
            port=int(node.endpoint.rpartition(":")[2]),
            allowed_ips=(*own, *([f"{tunnel}/32"] if healthy else [])),
            healthy=healthy,
        )

    def _node(self, number: int) -> KiloNode:
        return kilo_nodes(self._number, number)[-1]


def peer_differences(nodes: Iterable[ClusterNodes], peers: Mapping[str, Peer]) -> Iterator[str]:
    """Say in lines what of a cluster's Peers is not as it must be; `nodes` are the others'."""
    wanted: dict[str, Wanted] = {}
    for cluster in nodes:
        of_cluster = cluster.wanted()
        wanted |= of_cluster
        yield from _claim_differences(RANGES[cluster.cluster], of_cluster, peers)
    shared = {cidr for cluster in nodes for cidr in RANGES[cluster.cluster]}
    found = {name: _found(peer, shared) for name, peer in peers.items()}
    for name in sorted({*wanted, *found}):
        one, other = wanted.get(name), found.get(name)
        same = one and other and msgspec.structs.replace(other, healthy=one.healthy) == one
        if not same:
            yield f"{name}: wanted {one}, found {other}"


def _claim_differences(
    cidrs: Iterable[str], wanted: Mapping[str, Wanted], peers: Mapping[str, Peer]
) -> Iterator[str]:
    healthy = {name for name, peer in wanted.items() if peer.healthy}
    for cidr in cidrs:
        holders = [name for name, peer in peers.items() if cidr in peer.spec.allowed_ips]
        if len(holders) != 1 or holders[0] not in healthy:
            yield f"{cidr} is with {holders}, and not with one of {sorted(healthy)}"


def _found(peer: Peer, shared: set[str]) -> Wanted:
    return Wanted(
        public_key=peer.spec.public_key,
        port=peer.spec.endpoint.port if peer.spec.endpoint else 0,
        allowed_ips=tuple(cidr for cidr in peer.spec.allowed_ips if cidr not in shared),
    )
