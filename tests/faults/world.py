"""One test's world: a namespace in every cluster, its exports, and what keeps an eye on mirrors."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp

from heliograph.bus.background import alongside
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    NAMESPACES,
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
from tests.faults.recorder import Recorder, versions
from tests.faults.stage import POD_RANGES, Stage
from tests.faults.writer import Writer, patiently

_SETTLE_S: Final = 60.0
_LOOK_S: Final = 0.1


class World:
    """What a test works on.

    Attributes:
        stage: What runs.
        model: What must be.
        history: What happened.
        writers: By exporting cluster.
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
        self._markers = {c: Export(cluster=c, name=f"{c}-marker") for c in clients}

    async def open(self) -> None:
        """Prepare a namespace in every cluster, and the markers."""
        for cluster, client in self.clients.items():
            namespace = Namespace(metadata=ObjectMeta(name=self.model.namespace))
            await client.create(NAMESPACES, namespace)
            await ensure_node(client, "node-1", POD_RANGES[cluster])
        for cluster, marker in self._markers.items():
            await self.writers[cluster].create(self.model.add(marker))

    async def keep(self) -> None:
        """Look at all mirrors and keep the programs running, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for recorder in self._recorders.values():
                tasks.create_task(recorder.run())
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
        await self._until(self._lacking, "the mirrors are not as they must be")
        await self._until(self._unseen, "the recorder does not see what is there")
        await self.all_ready()
        self.model.settle()
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

    async def mark(self) -> None:
        """Change the marker of every exporting cluster."""
        for cluster, marker in self._markers.items():
            await self.writers[cluster].set_port(marker, marker.port % 60_000 + 1)

    async def versions(self) -> dict[str, str]:
        """Return the resource versions of everything in the namespace, but of the markers."""
        found: dict[str, str] = {}
        for cluster in self.clients:
            services, slices = await self._read(cluster)
            for name, version in versions(services, slices).items():
                if "-marker" not in name:
                    found[f"{cluster}: {name}"] = version
        return found

    async def close(self) -> None:
        """Delete the markers, and wait until nothing of ours is left."""
        for cluster, marker in self._markers.items():
            await self.writers[cluster].delete(marker)
        await self._until(self._lacking, "what must go is still there")

    async def _lacking(self) -> list[str]:
        lines = []
        for cluster in self.clients:
            found = read_mirrors(*await self._read(cluster, MANAGED_SELECTOR))
            wanted = self.model.mirrors(cluster)
            lines += [f"{cluster}: {line}" for line in differences(wanted, found)]
        return lines

    async def _unseen(self) -> list[str]:
        lines = []
        for cluster, recorder in self._recorders.items():
            there = versions(*await self._read(cluster, MANAGED_SELECTOR))
            if there != recorder.versions:
                lines.append(f"{cluster}: there is {there}, and seen was {recorder.versions}")
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
            client = KubeClient(name, kubeconfig, field_manager="kubectl")
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
