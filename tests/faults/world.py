"""One test's world: exports and nodes of every cluster, and what keeps an eye on their effects."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp

from heliograph.bus.background import alongside
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    NAMESPACES,
    NODES,
    SERVICES,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    Resource,
    Service,
    T,
)
from heliograph.marks import MANAGED_SELECTOR
from tests.end_to_end.support import ensure_node
from tests.faults.faults import Fault
from tests.faults.history import History
from tests.faults.mirrors import read_mirrors
from tests.faults.model import Export, Model, differences
from tests.faults.nodes import ClusterNodes, PatientClient, peer_differences
from tests.faults.recorder import Recorder, versions
from tests.faults.stage import POD_RANGES, RANGES, Stage
from tests.faults.writer import Writer, patiently
from tests.support.peers_seen import PeersSeen

_SETTLE_S: Final = 60.0
_LOOK_S: Final = 0.1


class World:
    """What a test works on.

    Attributes:
        stage: What runs.
        model: What must be.
        history: What happened.
        writers: By exporting cluster.
        nodes: By exporting cluster.
        peers: What is seen of Peers, by importing cluster.
        clients: By cluster, as kubectl would be.
        session: To ask programs' pages with.
        longest_settling_s: How long it took at most until all was as it must be.
    """

    def __init__(
        self, stage: Stage, clients: Mapping[str, KubeClient], session: aiohttp.ClientSession
    ) -> None:
        self.stage, self.session = stage, session
        self.model = Model(f"faults-{secrets.token_hex(4)}")
        self.history = History()
        self.longest_settling_s = 0.0
        self.writers = {c: Writer(client, self.model.namespace) for c, client in clients.items()}
        self.clients = clients
        self._recorders = {
            c: Recorder(client, self.model, self.history.violation) for c, client in clients.items()
        }
        self.nodes = {c: ClusterNodes(c, client) for c, client in clients.items()}
        self.peers = {c: self._watch_of_peers(client) for c, client in clients.items()}
        self._markers = {c: Export(cluster=c, name=f"{c}-marker") for c in clients}

    async def open(self) -> None:
        """Prepare a namespace in every cluster, and the markers."""
        for cluster, client in self.clients.items():
            namespace = Namespace(metadata=ObjectMeta(name=self.model.namespace))
            await client.create(NAMESPACES, namespace)
            for node in (await client.list(NODES)).items:  # of a test that failed
                await client.delete(NODES, ObjectMeta(name=node.metadata.name))
            await ensure_node(client, "node-1", POD_RANGES[cluster])
        for cluster, marker in self._markers.items():
            await self.writers[cluster].create(self.model.add(marker))
            await self.nodes[cluster].add_marker()

    async def keep(self) -> None:
        """Look at all mirrors and keep the programs running, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for recorder in self._recorders.values():
                tasks.create_task(recorder.run())
            for seen in self.peers.values():
                tasks.create_task(seen.run())
            for nodes in self.nodes.values():
                tasks.create_task(nodes.kilo.beat())
            tasks.create_task(self._keep_programs())

    async def suffer(self, fault: Fault, for_s: float) -> None:
        """Let one fault happen, from its beginning until its end."""
        self.history.faults += 1
        self.history.note(f"{fault.name}, for {for_s:.2f} s")
        await fault.down()
        try:
            await asyncio.sleep(for_s)
        finally:
            await fault.up()
            self.history.note(f"{fault.of} is back")
        self.check()

    async def settle(self) -> None:
        """Wait until every cluster has exactly the mirrors that it must have; nothing else.

        A last change of each exporting cluster passes behind all others, so equality means that
        they arrived, and not that none has begun.
        """
        began_s = time.monotonic()
        self.history.note("settling")
        await self.mark()
        await self._until(self._lacking, "mirrors or Peers are not as they must be")
        await self._until(self._unseen, "the recorder does not see what is there")
        await self.all_ready()
        self.model.settle()
        for nodes in self.nodes.values():
            nodes.settle()
        for seen in self.peers.values():
            seen.expect()
        self.longest_settling_s = max(self.longest_settling_s, time.monotonic() - began_s)
        self.history.note(f"settled, {len([e for e in self.model if e.wanted])} exports")
        self.check()

    def check(self) -> None:
        """Fail if anything was seen that must never be."""
        assert not self.history.violations, "\n".join(self.history.violations)

    async def all_ready(self) -> None:
        """Wait until every program says that it does its work."""
        await self._until(self._unready, "programs are not ready")

    @property
    def mirror_changes(self) -> int:
        """How many changes of mirrors were seen."""
        return sum(recorder.changes for recorder in self._recorders.values())

    @property
    def peer_changes(self) -> int:
        """How many changes of Peers were seen."""
        return sum(len(seen.events) for seen in self.peers.values())

    async def mark(self) -> None:
        """Change the markers of every exporting cluster: a Service and a node."""
        for cluster, marker in self._markers.items():
            await self.nodes[cluster].mark()
            await self.writers[cluster].set_port(marker, marker.port % 60_000 + 1)

    async def versions(self) -> dict[str, str]:
        """Return the resource versions of all Services, slices and Peers, but of the markers."""
        found: dict[str, str] = {}
        for cluster in self.clients:
            services, slices = await self._read(cluster)
            peers = await self._peers(cluster)
            names = versions(services, slices) | {
                f"Peer {name}": peer.metadata.resource_version for name, peer in peers.items()
            }
            for name, version in names.items():
                if "-marker" not in name:
                    found[f"{cluster}: {name}"] = version
        return found

    async def close(self) -> None:
        """Delete markers and nodes, and wait until nothing of ours is left."""
        for cluster, marker in self._markers.items():
            await self.writers[cluster].delete(marker)
            for name in self.nodes[cluster].kilo.names:
                await self.nodes[cluster].remove(name)
        await self._until(self._leftovers, "Peers are left")
        await self._until(self._lacking, "what must go is still there")

    async def _lacking(self) -> list[str]:
        lines = []
        for cluster in self.clients:
            found = read_mirrors(*await self._read(cluster, MANAGED_SELECTOR))
            wanted = self.model.mirrors(cluster)
            lines += [f"{cluster}: {line}" for line in differences(wanted, found)]
            lines += [f"{cluster}: {line}" for line in await self._lacking_peers(cluster)]
        return lines

    async def _lacking_peers(self, cluster: str) -> list[str]:
        others = [nodes for name, nodes in self.nodes.items() if name != cluster]
        if not any(nodes.kilo.names for nodes in others):  # the world ends
            return []
        return list(peer_differences(others, await self._peers(cluster)))

    async def _leftovers(self) -> list[str]:
        return [
            f"{cluster}: {name}" for cluster in self.clients for name in await self._peers(cluster)
        ]

    async def _unseen(self) -> list[str]:
        lines = []
        for cluster, recorder in self._recorders.items():
            there = versions(*await self._read(cluster, MANAGED_SELECTOR))
            if there != recorder.versions:
                lines.append(f"{cluster}: there is {there}, and seen was {recorder.versions}")
        for cluster, seen in self.peers.items():
            peers = await self._peers(cluster)
            if {n: p.metadata.resource_version for n, p in peers.items()} != seen.versions:
                lines.append(f"{cluster}: there are {peers}, and seen was {seen.versions}")
        return lines

    async def _unready(self) -> list[str]:
        programs = self.stage.programs
        ready = [await program.ready(self.session) for program in programs]
        return [p.name for p, is_ready in zip(programs, ready, strict=True) if not is_ready]

    async def _read(
        self, cluster: str, selector: str = ""
    ) -> tuple[tuple[Service, ...], tuple[EndpointSlice, ...]]:
        return (
            await self._list(cluster, SERVICES, selector),
            await self._list(cluster, ENDPOINT_SLICES, selector),
        )

    async def _list(self, cluster: str, resource: Resource[T], selector: str) -> tuple[T, ...]:
        client, namespace = self.clients[cluster], self.model.namespace
        listing = await patiently(
            lambda: client.list(resource, Selection(namespace=namespace, labels=selector))
        )
        return tuple(listing.items)

    async def _peers(self, cluster: str) -> dict[str, Peer]:
        client = self.clients[cluster]
        listing = await patiently(lambda: client.list(PEERS))
        return {peer.metadata.name: peer for peer in listing.items}

    def _watch_of_peers(self, client: KubeClient) -> PeersSeen:
        shared = {c: cidrs for c, cidrs in RANGES.items() if c in self.clients}
        seen = PeersSeen(client, shared, self.history.violation)
        seen.on_gone = lambda peer: self._judge_loss(client.cluster, peer)
        return seen

    def _judge_loss(self, importing: str, peer: Peer) -> None:
        exporting, _, node = peer.metadata.name.split(".", 2)
        if node in self.nodes[exporting].steady:
            self.history.violation(
                f"in {importing}, Peer {peer.metadata.name} is gone, although its node is there"
            )

    async def _until(self, lacking: Callable[[], Awaitable[list[str]]], what: str) -> None:
        """Wait until nothing is lacking any more."""
        end_s = time.monotonic() + _SETTLE_S
        while lines := await lacking():
            if time.monotonic() > end_s:
                text = "\n".join((f"{what}:", *lines))
                raise AssertionError(text)
            await asyncio.sleep(_LOOK_S)

    async def _keep_programs(self) -> None:
        """Start programs again that ended by themselves: only one not yet ready may do that."""
        while True:
            for program in self.stage.programs:
                if program.wanted and not program.running:
                    self._explain(program.name, program.last_words, was_ready=program.was_ready)
                    program.start()
                elif program.wanted and not program.was_ready:
                    await program.ready(self.session)
            await asyncio.sleep(_LOOK_S)

    def _explain(self, name: str, last_words: str, *, was_ready: bool) -> None:
        what = f"{name} has ended by itself, saying: {last_words}"
        (self.history.violation if was_ready else self.history.note)(what)


@asynccontextmanager
async def world_on(stage: Stage) -> AsyncIterator[World]:
    """Make a world on a stage; what happened in it is told with any failure."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        clients = {}
        for name in stage.clusters:
            kubeconfig = Kubeconfig(path=stage.kubeconfig, context=name)
            client = PatientClient(name, kubeconfig, field_manager="kubectl")
            clients[name] = await stack.enter_async_context(client)
        world = World(stage, clients, session)
        await world.open()
        try:
            async with alongside(world.keep()):
                yield world
                await world.close()
        except Exception as error:
            logs = stage.kubeconfig.parent
            error.add_note(f"what happened (logs are in {logs}):\n{world.history}")
            raise
