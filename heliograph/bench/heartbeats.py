"""What the heartbeats of Kilo's agents cost a watcher, on an in-memory API server.

Every agent writes its node anew each 30 s, and says nothing but that it lives.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from heliograph.bench.figures import Heartbeats
from heliograph.bench.stage import NotSeen, cpu_share, program_child
from heliograph.bus import ConnectionSettings, Message, connect
from heliograph.bus.background import alongside
from heliograph.contract.subjects import Kind, kind_of
from heliograph.kilo.facts import PREFIX
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.process import Child
from heliograph.progress import Progress, Step
from heliograph.run.joined import embedded_bus

PERIOD_S: Final = 30.0
"""How often each agent beats."""

_STARTED_LIMIT_S: Final = 30.0
_ANNOUNCED_LIMIT_S: Final = 120.0
_REST_S: Final = 5.0
_IDLE_S: Final = 10.0
_AT_ONCE: Final = 100
_IMAGES: Final = 40
Json = dict[str, Any]


async def heartbeats(nodes: int, seconds: float, progress: Progress) -> Heartbeats:
    """Measure a watcher of so many nodes for so long; a minute has two beats of each."""
    async with _watched() as (east, watcher, published):
        idle, _ = await cpu_share(watcher, asyncio.sleep(_IDLE_S))
        begun_s = time.monotonic()
        await _apply(east, range(nodes))
        async with alongside(_beat(east, nodes, begun_s)):
            await _announced(published, nodes, progress)
            await asyncio.sleep(_REST_S)
            published.clear()
            progress(Step(f"they beat once each {PERIOD_S:.0f} s, for {seconds:.0f} s"))
            share, beats = await cpu_share(watcher, _beats(east, seconds))
        return Heartbeats(
            cpu_share=share,
            idle_cpu_share=idle,
            messages=len(published),
            beats=beats,
            nodes=nodes,
        )


@asynccontextmanager
async def _watched() -> AsyncIterator[tuple[MemoryCluster, Child, list[str]]]:
    """Run a watcher of a cluster without nodes; yield the list of what it publishes of nodes."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-bench-")))
        settings = MemoryClusterSettings(name="east", service_cidrs=("10.96.0.0/16",))
        east = await stack.enter_async_context(MemoryCluster(settings))
        write_kubeconfig(folder / "kubeconfig", [east.access])
        bus = await stack.enter_async_context(embedded_bus())
        published: list[str] = []
        leases = asyncio.Event()

        def note(message: Message) -> None:
            if kind_of(message.subject) is Kind.NODE:
                published.append(message.subject)
            leases.set()

        listening = ConnectionSettings(urls=(bus,), name="bench")
        connection = await stack.enter_async_context(connect(listening))
        await connection.subscribe("heliograph.v1.east.>", note)
        watcher = stack.enter_context(program_child(folder, bus, "watcher", "east"))
        async with asyncio.timeout(_STARTED_LIMIT_S):
            await leases.wait()
        yield east, watcher, published


async def _announced(published: list[str], nodes: int, progress: Progress) -> None:
    try:
        async with asyncio.timeout(_ANNOUNCED_LIMIT_S):
            while (count := len(set(published))) < nodes:
                progress(Step("announcing nodes", done=count, total=nodes, unit="nodes"))
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise NotSeen(f"{len(set(published))} of {nodes} nodes are announced") from None
    progress(Step("announcing nodes", done=nodes, total=nodes, unit="nodes"))


async def _apply(east: MemoryCluster, numbers: range) -> None:
    for number in numbers:
        east.apply(_node(number))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


async def _beat(east: MemoryCluster, nodes: int, begun_s: float) -> None:
    """Let the nodes beat by turns, evenly, for ever; those that are due already at once."""
    for beat in itertools.count():
        await asyncio.sleep(begun_s + beat * PERIOD_S / nodes - time.monotonic())
        east.apply(_node(beat % nodes))


async def _beats(east: MemoryCluster, seconds: float) -> int:
    """Return how many beats there are in so many seconds."""
    before = _version(east)
    await asyncio.sleep(seconds)
    return _version(east) - before


def _version(east: MemoryCluster) -> int:
    """Return the counter of writes."""
    return int(east.apply(_node(0))["metadata"]["resourceVersion"])


def _node(number: int) -> Json:
    """Return a node as large as real ones are: most of it is the list of its images."""
    name = f"node-{number}"
    pods = f"10.{number // 256}.{number % 256}.0/24"
    private = f"172.16.{number // 250}.{number % 250 + 1}"
    digest = hashlib.sha256(name.encode()).digest()
    said = {
        "endpoint": f"203.0.{number // 250}.{number % 250 + 1}:51820",
        "internal-ip": f"{private}/16",
        "key": base64.b64encode(digest).decode(),
        "last-seen": str(int(time.time())),
        "wireguard-ip": f"100.64.{number // 250}.{number % 250 + 1}/16",
        "granularity": "full",
        "discovered-endpoints": "{}",
        "location": f"zone-{number % 3}",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            "annotations": {f"{PREFIX}{key}": value for key, value in said.items()},
        },
        "spec": {"podCIDR": pods, "podCIDRs": [pods]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": private}],
            "capacity": {"cpu": "8", "memory": "32802200Ki", "pods": "110"},
            "images": [_image(digest.hex(), image) for image in range(_IMAGES)],
        },
    }


def _image(digest: str, number: int) -> Json:
    repository = f"registry.example.com/team-{number % 5}/application-{number}"
    names = [f"{repository}@sha256:{digest}", f"{repository}:v1.{number}.0"]
    return {"names": names, "sizeBytes": 12_345_678 + number}
