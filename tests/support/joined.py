"""Joined clusters for tests: API servers in memory, a real bus, and the programs between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from heliograph import telemetry
from heliograph.bus import (
    Connection,
    ConnectionSettings,
    EmbeddedServer,
    ServerSettings,
    connect,
)
from heliograph.contract.names import ClusterId
from heliograph.imports.consume import ImportBus
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import JsonObject, MemoryCluster, MemoryClusterSettings
from heliograph.marks import EXPORT_LABEL, SERVICE_NAME_LABEL
from heliograph.membership.record import NAMESPACE as HELIOGRAPH
from heliograph.metrics import Metrics
from services.peerer.peerer import Peerer
from services.peerer.settings import PeererSettings
from services.reflector.reflector import Reflector
from services.reflector.settings import ReflectorSettings
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher
from tests.support.clusters import namespace

NAMESPACE = "shop"
_LEASE_PERIOD_S = 0.1
_WAIT_S = 15.0
R = TypeVar("R")


async def eventually(condition: Callable[[], R], *, within_s: float = _WAIT_S) -> R:
    """Wait until the condition holds; return what it gave."""
    last: object = None
    try:
        async with asyncio.timeout(within_s):
            while not (last := condition()):  # noqa: ASYNC110 - conditions of all kinds
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not seen within {within_s:g} s; last: {last!r}") from None
    return last  # type: ignore[return-value]


class Cluster:
    """One cluster, as a person with kubectl sees and changes it, in one namespace.

    Attributes:
        api: Its API server.
        number: Where it is among its ranges: 10.110.0.0/16 of number 0, and so on.
        watcher: Its watcher, while it runs.
        reflector: Its reflector, while it runs.
        metrics: Of that reflector.
        peerer: Its peerer, while it runs.
        peer_metrics: Of that peerer.
    """

    watcher: Watcher
    reflector: Reflector
    metrics: Metrics
    peerer: Peerer
    peer_metrics: Metrics

    def __init__(self, name: ClusterId, number: int, api: MemoryCluster) -> None:
        self.name, self.number, self.api = name, number, api

    def export(
        self,
        name: str = "cart",
        *,
        namespace: str = NAMESPACE,
        mode: str = "",
        exported: bool = True,
        **spec: Any,  # noqa: ANN401 - fields of a Service's spec
    ) -> JsonObject:
        """Apply a Service with the export label."""
        metadata: JsonObject = {"name": name, "namespace": namespace}
        metadata["labels"] = {EXPORT_LABEL: "true"} if exported else {}
        if mode:
            metadata["annotations"] = {"heliograph.io/endpoints": mode}
        given = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}], **spec}
        return self.api.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": given}
        )

    def withdraw(self, name: str = "cart") -> None:
        """Delete an exported Service, and its slices as a controller does."""
        self.api.delete("Service", NAMESPACE, name)
        for item in self.slices(name):
            self.api.delete("EndpointSlice", NAMESPACE, item["metadata"]["name"])

    def set_pods(
        self, pods: Mapping[str, Mapping[str, Any]], name: str = "cart", suffix: str = "1"
    ) -> JsonObject:
        """Apply a slice of backends: by address, with the last number of ours in front, facts."""
        endpoints = [
            {"addresses": [address], "conditions": {"ready": True}} | dict(facts)
            for address, facts in pods.items()
        ]
        labels = {SERVICE_NAME_LABEL: name}
        return self.api.apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name}-{suffix}",
                    "namespace": NAMESPACE,
                    "labels": labels,
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }
        )

    def pod(self, number: int) -> str:
        """Return the address of a pod of this cluster."""
        return f"10.{42 + self.number}.0.{number}"

    def service(self, name: str = "cart", namespace: str = NAMESPACE) -> JsonObject | None:
        """Return a Service."""
        return self.api.get("Service", namespace, name)

    def change(self, name: str = "cart", **spec: Any) -> JsonObject:  # noqa: ANN401
        """Change fields of a Service's spec, as somebody with kubectl does."""
        service = self.service(name)
        assert service is not None
        service["spec"] |= spec
        return self.api.apply(service)

    def slices(self, name: str = "cart", namespace: str = NAMESPACE) -> list[JsonObject]:
        """Return the slices that bear a Service's name."""
        return [
            item
            for item in self.api.list("EndpointSlice", namespace)
            if item["metadata"]["labels"].get(SERVICE_NAME_LABEL) == name
        ]

    def backends(self, name: str = "cart") -> dict[str, bool]:
        """Return the addresses behind a Service, and whether each is ready; none without it."""
        return {
            address: endpoint["conditions"]["ready"]
            for item in (self.slices(name) if self.service(name) else ())
            for endpoint in item.get("endpoints") or ()
            for address in endpoint["addresses"]
        }

    def events(self, reason: str) -> list[JsonObject]:
        """Return the Kubernetes Events with a reason."""
        return [event for event in self.api.list("Event") if event["reason"] == reason]

    @property
    def writes(self) -> int:
        """How many writes its API server was asked for, but for Kubernetes Events."""
        return self.api.writes - self.api.requests["create", "events"]

    def count(self, metric: str, **labels: str) -> float:
        """Return the value of a metric of the reflector."""
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0

    def count_refused(self, exporting: str) -> float:
        """Return whether the reflector refuses a cluster as a whole, by its metric."""
        return self.count("heliograph_refusals", exporting=exporting, reason="RangeOverlap")


class JoinedClusters:
    """Some clusters and their programs.

    Attributes:
        clusters: By name.
        shared: Whether all have one bus, though perhaps by different ways.
        watching: Settings of watchers that start from now on.
        imported: What reflectors that start from now on see of a bus to import from.
    """

    def __init__(self, folder: Path, urls: Mapping[str, str], tasks: asyncio.TaskGroup) -> None:
        self._folder = folder
        self._urls = urls
        self._tasks = tasks
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.clusters: dict[str, Cluster] = {}
        self.shared = len(set(urls.values())) == 1
        self.watching: dict[str, Any] = {}
        self.imported: Callable[[Connection], Connection] = lambda connection: connection

    def __getitem__(self, name: str) -> Cluster:
        return self.clusters[name]

    def add(self, name: str, api: MemoryCluster) -> Cluster:
        """Know a cluster."""
        cluster = self.clusters[name] = Cluster(ClusterId(name), len(self.clusters), api)
        api.apply(namespace(NAMESPACE))
        api.apply(namespace(HELIOGRAPH))  # where decisions are kept
        write_kubeconfig(self._folder / name, [api.access])
        return cluster

    async def start_watcher(self, name: str) -> None:
        """Start a cluster's watcher."""
        await self._start(("watcher", name), self._watch(name))

    async def start_reflector(self, name: str, **settings: Any) -> None:  # noqa: ANN401
        """Start a cluster's reflector."""
        await self._start(("reflector", name), self._reflect(name, settings))

    async def start_peerer(self, name: str, **settings: Any) -> None:  # noqa: ANN401
        """Start a cluster's peerer."""
        await self._start(("peerer", name), self._peer(name, settings))

    async def stop(self, program: str, name: str) -> None:
        """Stop a program of a cluster, as a signal does."""
        task = self._running.pop((program, name))
        task.cancel()
        await asyncio.wait([task])
        delattr(self.clusters[name], program)

    async def stop_all(self) -> None:
        """Stop all programs."""
        for program, name in tuple(self._running):
            await self.stop(program, name)

    async def ready(self, names: Iterable[str] = ()) -> None:
        """Wait until every cluster follows all others, and every mirror is as it should be."""
        wanted = [self.clusters[name] for name in names] or list(self.clusters.values())
        await eventually(lambda: all(cluster.watcher.ready for cluster in wanted))
        async with asyncio.timeout(_WAIT_S):
            for cluster in wanted:
                await cluster.reflector.caught_up()

    async def processed(self, exporting: str, *importing: str) -> None:
        """Wait until everything that has happened so far has been dealt with.

        A Service is exported and withdrawn again: what came before it on any path, came first.
        """
        self[exporting].export("zz-marker")
        for name in importing:
            await eventually(lambda name=name: self[name].slices("zz-marker"))  # type: ignore[misc]
        self[exporting].withdraw("zz-marker")
        for name in importing:
            await eventually(lambda name=name: not self[name].slices("zz-marker"))  # type: ignore[misc]
            await eventually(lambda name=name: not self[name].service("zz-marker"))  # type: ignore[misc]

    @asynccontextmanager
    async def client(self, name: str, manager: str = "kubectl") -> AsyncIterator[KubeClient]:
        """Connect to a cluster's API server."""
        kubeconfig = Kubeconfig(path=self._folder / name, context=name)
        async with KubeClient(name, kubeconfig, field_manager=manager) as client:
            yield client

    @asynccontextmanager
    async def bus(self, name: str) -> AsyncIterator[Connection]:
        """Connect to the bus on which a cluster publishes; outages are part of the tests."""
        settings = ConnectionSettings(urls=(self._urls[name],), name="test")
        async with connect(settings, on_warning=lambda _: None) as connection:
            yield connection

    async def _start(self, which: tuple[str, str], work: Coroutine[object, object, None]) -> None:
        self._running[which] = self._tasks.create_task(work)
        program, name = which
        await eventually(lambda: hasattr(self.clusters[name], program))

    async def _watch(self, name: str) -> None:
        cluster = self.clusters[name]
        usual = {"pod_cidrs": (f"10.{42 + cluster.number}.0.0/16",)}
        settings = WatcherSettings(
            cluster=name, lease_period_s=_LEASE_PERIOD_S, **usual | self.watching
        )
        async with self.client(name, "heliograph") as client, self.bus(name) as home:
            cluster.watcher = Watcher(
                settings,
                client,
                home,
                telemetry=telemetry.disabled(),
                metrics=Metrics("watcher", name),
            )
            await cluster.watcher.run()

    async def _reflect(self, name: str, settings: Mapping[str, Any]) -> None:
        cluster = self.clusters[name]
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self.client(name, "heliograph"))
            home = await stack.enter_async_context(self.bus(name))
            metrics = Metrics("reflector", name)
            cluster.reflector = Reflector(
                ReflectorSettings(cluster=name, **settings),
                client,
                home=home,
                buses=await self._buses(stack, name, home),
                telemetry=telemetry.disabled(),
                metrics=metrics,
            )
            cluster.metrics = metrics
            await cluster.reflector.run()

    async def _peer(self, name: str, settings: Mapping[str, Any]) -> None:
        cluster = self.clusters[name]
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self.client(name, "heliograph"))
            home = await stack.enter_async_context(self.bus(name))
            cluster.peer_metrics = Metrics("peerer", name)
            cluster.peerer = Peerer(
                PeererSettings(cluster=name, **settings),
                client,
                home=home,
                buses=await self._buses(stack, name, home),
                telemetry=telemetry.disabled(),
                metrics=cluster.peer_metrics,
            )
            await cluster.peerer.run()

    async def _buses(
        self, stack: AsyncExitStack, importing: str, home: Connection
    ) -> list[ImportBus]:
        if self.shared:
            return [ImportBus(connection=self.imported(home))]
        return [
            ImportBus(
                connection=self.imported(await stack.enter_async_context(self.bus(name))),
                clusters=(ClusterId(name),),
            )
            for name in self.clusters
            if name != importing
        ]


@asynccontextmanager
async def bus_server(folder: Path) -> AsyncIterator[EmbeddedServer]:
    """Run a nats-server; without fsync, as no test pulls the plug."""
    async with EmbeddedServer(ServerSettings(directory=folder, sync_interval="2m")) as server:
        yield server


@asynccontextmanager
async def joined(
    folder: Path,
    *names: str,
    urls: Mapping[str, str],
    start: bool = True,
    shared: bool | None = None,
    clusters: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,  # noqa: ANN401 - of all reflectors
) -> AsyncIterator[JoinedClusters]:
    """Run API servers, and (unless told otherwise) all programs, until the body ends.

    Args:
        folder: For kubeconfig files.
        names: The clusters.
        urls: The bus of each cluster.
        start: Whether to start the programs, and to wait until they are ready.
        shared: Whether it is one bus; by default, if there is one URL.
        clusters: More settings of some API servers.
        settings: Settings of all reflectors.
    """
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        lab = JoinedClusters(folder, urls, tasks)
        lab.shared = lab.shared if shared is None else shared
        for number, name in enumerate(names):
            given = {
                "service_cidrs": (f"10.{110 + number}.0.0/16",),
                **(clusters or {}).get(name, {}),
            }
            api = MemoryCluster(MemoryClusterSettings(name=name, **given))
            lab.add(name, await stack.enter_async_context(api))
        try:
            for name in names if start else ():
                await lab.start_watcher(name)
                await lab.start_reflector(name, **settings)
            if start:
                await lab.ready()
            yield lab
        finally:
            await lab.stop_all()


def addresses(service: JsonObject | None) -> tuple[str, ...]:
    """Return the cluster IPs of a Service."""
    assert service is not None
    return tuple(msgspec.convert(service["spec"].get("clusterIPs", []), list[str]))
