"""Joined clusters whose nodes run Kilo, for the end-to-end tests."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec

from heliograph.bus.background import alongside
from heliograph.kilo.peer import PEERS, Peer, PeerSpec
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import CONFIG_MAPS, NODES, KubeObject, ObjectMeta, Resource
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.kilo import KiloNode, KiloNodes, install_peer_crd, kilo_nodes, kilo_subnet
from heliograph.membership.record import NAME, NAMESPACE
from services.peerer.peerer import Peerer
from tests.end_to_end.support import JoinedClusters, eventually, join
from tests.support.api_proxy import WRITES, ApiProxy
from tests.support.peers_seen import PeersSeen

DEFINITIONS: Resource[KubeObject] = Resource(
    api="/apis/apiextensions.k8s.io/v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    struct=KubeObject,
)
DEFINITION = "peers.kilo.squat.ai"
RANGES = {
    "east": ("10.96.0.0/16", "fd00:96::/112"),
    "west": ("10.97.0.0/16", "fd00:97::/112"),
    "north": ("10.98.0.0/16",),
}


class _Generation(msgspec.Struct):
    generation: int


class _Counted(msgspec.Struct):
    metadata: _Generation


class PeeredClusters:
    """Some clusters, as people and Kilo's agents see and change them.

    Attributes:
        clients: As kubectl, by cluster.
        nodes: By cluster.
        proxies: By which programs reach the API servers.
        seen: What a watch of west's Peers shows.
        faults: What was seen there that must never be.
        joined: The programs, once they run.
    """

    joined: JoinedClusters
    seen: PeersSeen

    def __init__(self) -> None:
        self.clients: dict[str, KubeClient] = {}
        self.nodes: dict[str, KiloNodes] = {}
        self.proxies: dict[str, ApiProxy] = {}
        self.faults: list[str] = []

    def node(self, cluster: str, number: int) -> KiloNode:
        """Return the number-th node that a cluster may have."""
        return kilo_nodes(list(RANGES).index(cluster), number)[-1]

    def peerer(self, cluster: str) -> Peerer:
        """Return a cluster's peerer."""
        return self.joined.programs[cluster].peerer  # type: ignore[index]

    async def peers(self, cluster: str = "west") -> dict[str, Peer]:
        """Return the Peers of a cluster by name."""
        listing = await self.clients[cluster].list(PEERS)
        return {peer.metadata.name: peer for peer in listing.items}

    async def peer(self, name: str) -> Peer:
        """Return one of west's Peers."""
        return await self.clients["west"].get(PEERS, "", name)

    async def generation(self, name: str) -> int:
        """Return how often the API server has stored one of west's Peers with another spec."""
        body = await self.clients["west"].get_raw(PEERS.path("", name))
        return msgspec.json.decode(body, type=_Counted).metadata.generation

    async def named(self, *names: str, cluster: str = "west") -> None:
        """Wait until a cluster has the Peers of these names, and no others."""

        async def right() -> bool:
            return sorted(await self.peers(cluster)) == sorted(names)

        await eventually(right)

    async def versions(self) -> dict[str, str]:
        """Return the resource version of each of west's Peers: equal versions, no write."""
        return {name: p.metadata.resource_version for name, p in (await self.peers()).items()}

    async def settled(self) -> None:
        """Wait until peerers know all nodes and have nothing left to do, and the watch saw it."""
        names = frozenset(self.clients)
        for cluster in names:
            await eventually(lambda c=cluster: self.peerer(c).heard() >= names)  # type: ignore[misc]
            await eventually(lambda c=cluster: self.peerer(c).idle)  # type: ignore[misc]

        async def up_to_date() -> bool:
            return await self.versions() == self.seen.versions

        await eventually(up_to_date)

    async def marked(self) -> None:
        """Let a last node join east, and wait for it in west: what was before it was dealt with."""
        last = msgspec.structs.replace(self.node("east", 100), name="zz")  # so that none moves up
        await self.nodes["east"].add(last)
        await eventually(lambda: "east.node.zz" in self.seen.peers)
        await self.settled()

    async def by_hand(self, name: str, key: str, *allowed: str) -> Peer:
        """Make a Peer in west, as a person does."""
        spec = PeerSpec(public_key=key, allowed_ips=allowed)
        return await self.clients["west"].create(
            PEERS, Peer(metadata=ObjectMeta(name=name), spec=spec)
        )

    async def annotate(self, cluster: str, node: str, **said: str | None) -> None:
        """Change Kilo's annotations of a node, as a person does."""
        annotations = {f"kilo.squat.ai/{name}": value for name, value in said.items()}
        patch = {"metadata": {"annotations": annotations}}
        await self.clients[cluster].merge_patch(NODES, "", node, patch)

    def writes(self, cluster: str, since_s: float) -> dict[str, int]:
        """Return what a cluster's programs have written since a moment, whatever came of it."""
        return dict(self.proxies[cluster].count(since_s=since_s, verbs=WRITES))

    def written(self, since_s: float) -> dict[str, int]:
        """Return how often each verb was used on west's Peers since a moment."""
        writes = self.writes("west", since_s).items()
        return {what.split()[0]: n for what, n in writes if what.endswith(" peers")}

    async def remove_definition(self) -> None:
        """Delete the kind Peer from west, and with it all Peers."""
        await self.clients["west"].delete(DEFINITIONS, ObjectMeta(name=DEFINITION))


@asynccontextmanager
async def peered(
    accesses: Mapping[str, ClusterAccess],
    *names: str,
    nodes: Mapping[str, tuple[KiloNode, ...]] | None = None,
    crd: bool = True,
) -> AsyncIterator[PeeredClusters]:
    """Join clusters that have two nodes each, n1 and n2, if nothing else is said of them.

    Args:
        accesses: How to reach the clusters.
        names: Which of them; "west" is watched.
        nodes: What some of them have instead.
        crd: Whether west knows Peers from the beginning.
    """
    lab = PeeredClusters()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_kubeconfig(folder / "kubeconfig", [accesses[name] for name in names])
        for number, name in enumerate(RANGES):
            if name in names:
                kubeconfig = Kubeconfig(path=folder / "kubeconfig", context=name)
                client = KubeClient(name, kubeconfig, field_manager="kubectl")
                lab.clients[name] = await stack.enter_async_context(client)
                lab.nodes[name] = KiloNodes(
                    client, subnet=kilo_subnet(number), heartbeat_s=0.1, seed=number
                )
                proxy = ApiProxy(accesses[name])
                lab.proxies[name] = await stack.enter_async_context(proxy.running())
                stack.push_async_callback(_clear, lab, name)
        await asyncio.gather(*(_prepare(lab, n, (nodes or {}).get(n), crd=crd) for n in names))
        lab.seen = PeersSeen(lab.clients["west"], RANGES, lab.faults.append)
        async with alongside(lab.seen.run()):
            await lab.seen.listed.wait()
            by = {name: proxy.access for name, proxy in lab.proxies.items()}
            async with join(accesses, *names, by=by) as lab.joined:
                await lab.settled() if crd else None
                yield lab
        assert not lab.faults, "\n".join(lab.faults)


async def _prepare(
    lab: PeeredClusters, name: str, nodes: tuple[KiloNode, ...] | None, *, crd: bool
) -> None:
    if crd or name != "west":
        await install_peer_crd(lab.clients[name])
    await lab.nodes[name].add(*(nodes or (lab.node(name, 1), lab.node(name, 2))))


async def _clear(lab: PeeredClusters, name: str) -> None:
    """Take away what later tests would count: nodes, the kind with all Peers, decisions."""
    client, nodes = lab.clients[name], lab.nodes[name]
    for node in nodes.names:
        with suppress(NotFound):
            await nodes.remove(node)
    with suppress(NotFound):
        await client.delete(DEFINITIONS, ObjectMeta(name=DEFINITION))
    with suppress(NotFound):
        await client.delete(CONFIG_MAPS, ObjectMeta(name=NAME, namespace=NAMESPACE))

    async def gone() -> bool:
        try:
            await client.get(DEFINITIONS, "", DEFINITION)
        except NotFound:
            return True
        return False

    await eventually(gone)
