"""One program, or the floor, from its first request until it has caught up; a process of its own.

`python -m heliograph.bench.restarted watcher|reflector|floor KUBECONFIG BUS` says "ready" when all
is loaded, begins at a line on standard input, and prints its `Measured` as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import msgspec

from heliograph import logs, program, telemetry
from heliograph.bench.stage import NAMESPACE
from heliograph.bus import Connection, ConnectionSettings, connect
from heliograph.imports.consume import ImportBus
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES
from heliograph.metrics import Metrics
from services.reflector.reflector import Reflector
from services.reflector.settings import ReflectorSettings
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one process measured.

    Attributes:
        seconds: From the first request until it had caught up.
        writes: Requests that changed something.
    """

    seconds: float
    writes: int = 0


async def floor(kubeconfig: Path) -> Measured:
    """List what both programs list of their clusters, at the same time."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(_client(kubeconfig, name)) for name in ("east", "west")
        ]
        begun = time.perf_counter()
        listings = [
            client.list(resource, Selection(namespace=NAMESPACE))
            for client in clients
            for resource in (SERVICES, ENDPOINT_SLICES)
        ]
        await asyncio.gather(*listings)
        return Measured(seconds=time.perf_counter() - begun)


async def watcher(kubeconfig: Path, bus: str) -> Measured:
    """Run the watcher of east until its stream is compared and confirmed."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(kubeconfig, "east"))
        begun = time.perf_counter()
        connection = await stack.enter_async_context(_bus(bus))
        metrics = Metrics("watcher", "east")
        settings = WatcherSettings(cluster="east")
        one = Watcher(settings, client, connection, telemetry=telemetry.disabled(), metrics=metrics)
        return await _until(one.run(), one.caught_up(), begun, metrics)


async def reflector(kubeconfig: Path, bus: str) -> Measured:
    """Run the reflector of west until every mirror is as it should be."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(kubeconfig, "west"))
        begun = time.perf_counter()
        connection: Connection = await stack.enter_async_context(_bus(bus))
        metrics = Metrics("reflector", "west")
        one = Reflector(
            ReflectorSettings(cluster="west", import_from=("east",)),
            client,
            home=connection,
            buses=[ImportBus(connection=connection)],
            telemetry=telemetry.disabled(),
            metrics=metrics,
        )
        return await _until(one.run(), one.caught_up(), begun, metrics)


async def _until(
    run: Awaitable[None], caught_up: Awaitable[None], begun: float, metrics: Metrics
) -> Measured:
    running = asyncio.ensure_future(run)
    await caught_up
    seconds = time.perf_counter() - begun
    running.cancel()
    await asyncio.wait([running])
    return Measured(seconds=seconds, writes=_writes(metrics))


def _writes(metrics: Metrics) -> int:
    samples = (s for metric in metrics.writes.collect() for s in metric.samples)
    return int(sum(s.value for s in samples if s.name.endswith("_total")))


def _client(kubeconfig: Path, name: str) -> KubeClient:
    return KubeClient(name, Kubeconfig(path=kubeconfig, context=name))


def _bus(url: str) -> AbstractAsyncContextManager[Connection]:
    return connect(ConnectionSettings(urls=(url,), name="bench"))


async def _main(what: str, kubeconfig: Path, bus: str) -> None:
    logs.configure("error")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    match what:
        case "watcher":
            measured = await watcher(kubeconfig, bus)
        case "reflector":
            measured = await reflector(kubeconfig, bus)
        case _:
            measured = await floor(kubeconfig)
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")


if __name__ == "__main__":
    sys.exit(program.run(_main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
