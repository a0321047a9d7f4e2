"""All programs of several clusters in one process, as `heliograph up` and the demo run them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec

from heliograph import telemetry
from heliograph.bus import ConnectionSettings, EmbeddedServer, ServerSettings
from heliograph.bus.micro import Service
from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError
from heliograph.imports.consume import ImportBus
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.membership.configmap import ensure_namespace
from heliograph.metrics import Metrics
from heliograph.progress.shown import Begin
from heliograph.run.buses import bus
from heliograph.run.first_sync import Syncing, first_sync
from heliograph.run.programs import cluster
from heliograph.run.service import Told, Working, service
from services.peerer.peerer import Peerer
from services.peerer.rights import rights as peerer_rights
from services.peerer.settings import PeererSettings
from services.reflector.reflector import Reflector
from services.reflector.rights import rights as reflector_rights
from services.reflector.settings import ReflectorSettings
from services.watcher.rights import rights as watcher_rights
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """The programs of one cluster."""

    watcher: Watcher
    reflector: Reflector
    peerer: Peerer
    services: tuple[Service, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether all do their work right now."""
        return self.watcher.ready and self.reflector.ready and self.peerer.ready

    def syncing(self, cluster: ClusterId) -> tuple[tuple[str, Syncing], ...]:
        """Return each program with what it is called."""
        return (
            (f"watcher of {cluster}", self.watcher),
            (f"reflector of {cluster}", self.reflector),
            (f"peerer of {cluster}", self.peerer),
        )


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The clusters of one `up`.

    Attributes:
        clusters: Their credentials.
        buses: The URL of each cluster's bus.
        create_namespaces: Whether reflectors create namespaces.
    """

    clusters: Mapping[ClusterId, Kubeconfig]
    buses: Mapping[ClusterId, str]
    create_namespaces: bool = False

    @property
    def shared(self) -> bool:
        """Whether all clusters have one bus."""
        return len(set(self.buses.values())) == 1


@asynccontextmanager
async def embedded_bus() -> AsyncIterator[str]:
    """Run a nats-server of our own; its store is a cache, and goes with it."""
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        async with EmbeddedServer(ServerSettings(directory=Path(folder))) as server:
            yield server.url


async def run_joined(
    joined: Joined,
    started: Callable[[Mapping[ClusterId, Programs]], None],
    begin: Begin = lambda: lambda _: None,
) -> None:
    """Run all programs until cancelled; tell of them once every connection is open.

    Args:
        joined: The clusters.
        started: Called once, with the programs.
        begin: Returns whom to tell how far a program's first sync is; nobody by default.
    """
    traces = {
        (program, name): telemetry.from_environment(program, name, os.environ)
        for name in joined.clusters
        for program in ("watcher", "reflector", "peerer")
    }
    async with AsyncExitStack() as stack:
        stack.enter_context(telemetry.ending(*traces.values()))
        programs = {
            name: await _prepare(stack, joined, name, kubeconfig, traces)
            for name, kubeconfig in joined.clusters.items()
        }
        async with asyncio.TaskGroup() as tasks:
            for name, one in programs.items():
                tasks.create_task(one.watcher.run())
                tasks.create_task(one.reflector.run())
                tasks.create_task(one.peerer.run())
                for answering in one.services:
                    tasks.create_task(answering.run())
                for what, running in one.syncing(name):
                    tasks.create_task(first_sync(what, running, begin()))
            started(programs)


async def _prepare(
    stack: AsyncExitStack,
    joined: Joined,
    name: ClusterId,
    kubeconfig: Kubeconfig,
    traces: Mapping[tuple[str, ClusterId], telemetry.Telemetry],
) -> Programs:
    watching = WatcherSettings(cluster=name)
    reflecting = ReflectorSettings(cluster=name, create_namespaces=joined.create_namespaces)
    peering = PeererSettings(cluster=name)
    rights = (
        *watcher_rights(watching),
        *reflector_rights(reflecting),
        *peerer_rights(peering),
    )
    client = await stack.enter_async_context(cluster(name, kubeconfig, rights))
    with suppress(HeliographError):  # without it, the programs say what they cannot keep
        await ensure_namespace(client, peering.namespace)
    settings = ConnectionSettings(urls=(joined.buses[name],), name=f"heliograph up, {name}")
    home = await stack.enter_async_context(bus(settings))
    buses = [ImportBus(connection=home)]
    if not joined.shared:
        others = [other for other in joined.clusters if other != name]
        buses = [await _import_bus(stack, joined, name, other) for other in others]
    metrics = {program: Metrics(program, name) for program in ("watcher", "reflector", "peerer")}
    watcher = Watcher(
        watching, client, home, telemetry=traces["watcher", name], metrics=metrics["watcher"]
    )
    reflector = Reflector(
        reflecting,
        client,
        home=home,
        buses=buses,
        telemetry=traces["reflector", name],
        metrics=metrics["reflector"],
    )
    peerer = Peerer(
        peering,
        client,
        home=home,
        buses=buses,
        telemetry=traces["peerer", name],
        metrics=metrics["peerer"],
    )
    running: dict[str, Working] = {"watcher": watcher, "reflector": reflector, "peerer": peerer}
    told = (Told.of(p, name, one, metrics[p]) for p, one in running.items())
    return Programs(
        watcher=watcher,
        reflector=reflector,
        peerer=peerer,
        services=tuple(service(home, one) for one in told),
    )


async def _import_bus(
    stack: AsyncExitStack, joined: Joined, importing: ClusterId, exporting: ClusterId
) -> ImportBus:
    url = joined.buses[exporting]
    settings = ConnectionSettings(urls=(url,), name=f"heliograph up, {importing} of {exporting}")
    connection = await stack.enter_async_context(bus(settings))
    return ImportBus(connection=connection, clusters=(exporting,))
