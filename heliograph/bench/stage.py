"""What benchmarks run on: real clusters, the programs as processes, and a stopwatch."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    NAMESPACES,
    SERVICES,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    Port,
    Service,
    ServiceSpec,
)
from heliograph.kube.watch import Deleted, Listed, ListWatch, Upserted
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.clusters import real_clusters
from heliograph.marks import SERVICE_NAME_LABEL
from heliograph.process import Child, ChildSettings
from heliograph.progress import Progress
from heliograph.run.joined import embedded_bus

NAMESPACE: Final = "bench"
_SEEN_S: Final = 120.0
_AT_ONCE: Final = 64
T = TypeVar("T")


class NotSeen(HeliographError):
    """What a benchmark waits for did not come."""


class Sight:
    """What was seen of west, and a way to wait for it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def noted(self) -> None:
        """Let those who wait look again."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition about what was seen holds.

        Raises:
            NotSeen: It did not within two minutes.
        """
        try:
            async with asyncio.timeout(_SEEN_S):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise NotSeen(f"a change was not seen within {_SEEN_S:.0f} s") from None


class Stopwatch(Sight):
    """When each Service's mirror was complete in west: Service and slice, with the wanted port."""

    def __init__(self, west: KubeClient) -> None:
        super().__init__()
        self._west = west
        self._ports: dict[str, dict[str, int]] = {"service": {}, "slice": {}}

    async def run(self) -> None:
        """Watch west, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_services())
            tasks.create_task(self._follow_slices())

    def seen(self, name: str, port: int) -> bool:
        """Tell whether the mirror shows this port in both of its objects."""
        return all(known.get(name) == port for known in self._ports.values())

    async def _follow_services(self) -> None:
        async for event in ListWatch(self._west, SERVICES).events():
            match event:
                case Listed(items=services):
                    for service in services:
                        self._note("service", service.metadata.name, service.spec.ports)
                case Upserted(object=service):
                    self._note("service", service.metadata.name, service.spec.ports)
                case Deleted(object=service):
                    self._note("service", service.metadata.name, ())

    async def _follow_slices(self) -> None:
        async for event in ListWatch(self._west, ENDPOINT_SLICES).events():
            match event:
                case Listed(items=slices):
                    for item in slices:
                        self._note("slice", _service_of(item), item.ports or ())
                case Upserted(object=item):
                    self._note("slice", _service_of(item), item.ports or ())
                case Deleted(object=item):
                    self._note("slice", _service_of(item), ())

    def _note(self, kind: str, name: str, ports: tuple[Port, ...]) -> None:
        self._ports[kind][name] = (ports[0].port or 0) if ports else 0
        self.noted()


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Two real clusters and a bus.

    Attributes:
        kubeconfig: With the contexts east and west.
        bus: URL of the nats-server.
        east: The exporting cluster.
        west: The importing cluster.
        watch: Sees the mirrors.
        folder: For logs.
    """

    kubeconfig: Path
    bus: str
    east: KubeClient
    west: KubeClient
    watch: Stopwatch
    folder: Path


@asynccontextmanager
async def stage(progress: Progress) -> AsyncIterator[Stage]:
    """Run two real control planes and a nats-server."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-bench-")))
        accesses = await stack.enter_async_context(real_clusters(2, progress))
        kubeconfig = folder / "kubeconfig"
        write_kubeconfig(kubeconfig, accesses)
        clients = [
            await stack.enter_async_context(
                KubeClient(name, Kubeconfig(path=kubeconfig, context=name), field_manager="bench")
            )
            for name in ("east", "west")
        ]
        for client in clients:
            namespace = Namespace(metadata=ObjectMeta(name=NAMESPACE))
            await client.create(NAMESPACES, namespace)
        staged = Stage(
            kubeconfig=kubeconfig,
            bus=await stack.enter_async_context(embedded_bus()),
            east=clients[0],
            west=clients[1],
            watch=Stopwatch(clients[1]),
            folder=folder,
        )
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(staged.watch.run())
            try:
                yield staged
            finally:
                watching.cancel()


@contextmanager
def programs(staged: Stage) -> Iterator[tuple[Child, Child]]:
    """Run the watcher of east and the reflector of west, each as a process."""
    with (
        program_child(staged.folder, staged.bus, "watcher", "east") as watcher,
        program_child(staged.folder, staged.bus, "reflector", "west") as reflector,
    ):
        yield watcher, reflector


@contextmanager
def relay(
    staged: Stage, wanted: str = "true", *, module: str = "heliograph.bench.relay"
) -> Iterator[Child]:
    """Run the floor's relay as a process, for objects whose label has this value."""
    command = (sys.executable, "-m", module, str(staged.kubeconfig), wanted)
    with Child(ChildSettings(name="relay", command=command, log=staged.folder / "relay")) as child:
        yield child


def service(name: str, labels: dict[str, str], *, port: int = 80) -> Service:
    """Return a Service to create in east."""
    metadata = ObjectMeta(name=name, namespace=NAMESPACE, labels=labels)
    return Service(metadata=metadata, spec=ServiceSpec(ports=(Port(name="http", port=port),)))


async def create_at_once(staged: Stage, names: Iterable[str], labels: dict[str, str]) -> None:
    """Create Services in east, many at the same time; return when the API server has them all."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def create(name: str) -> None:
        async with slots:
            await staged.east.create(SERVICES, service(name, labels))

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(create(name))


def resident_bytes(child: Child) -> int:
    """Return the resident memory of a process (proc(5), VmRSS)."""
    status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


async def cpu_share(child: Child, during: Awaitable[T]) -> tuple[float, T]:
    """Return which share of one core a process needed, and what was awaited meanwhile."""
    cpu_s, begun_s = _cpu_s(child), time.monotonic()
    result = await during
    return round((_cpu_s(child) - cpu_s) / (time.monotonic() - begun_s), 4), result


def _cpu_s(child: Child) -> float:
    """Return the processor time of a process in seconds (proc(5), utime and stime)."""
    fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def program_child(
    folder: Path, bus: str, program: str, cluster: str, environment: Mapping[str, str] | None = None
) -> Child:
    """Return one program of one cluster as a process, with the kubeconfig in the folder."""
    command = (
        *(sys.executable, "-m", "heliograph", program, "--cluster", cluster),
        *("--kubeconfig", f"{folder / 'kubeconfig'}@{cluster}"),
        *("--nats", bus, "--log-level", "warning"),
    )
    log = folder / f"{program}-{cluster}"
    given = environment or {}
    return Child(ChildSettings(name=program, command=command, log=log, environment=given))


def _service_of(item: EndpointSlice) -> str:
    return item.metadata.labels.get(SERVICE_NAME_LABEL, "")
