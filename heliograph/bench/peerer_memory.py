"""How much memory a peerer needs over many nodes, on an in-memory API server.

The exporting clusters are only what their watchers would say: streams on the bus.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from heliograph import telemetry
from heliograph.announce.announcer import Announcer, Origin
from heliograph.announce.reading import read_stream
from heliograph.bench.figures import at_rest
from heliograph.bench.many_nodes import announced_cluster, announced_nodes, cluster_name
from heliograph.bench.peer_figures import PeererMemory
from heliograph.bench.stage import NotSeen, program_child, resident_bytes
from heliograph.bus import (
    Connection,
    ConnectionSettings,
    StreamSettings,
    connect,
    ensure_stream,
)
from heliograph.bus.background import alongside
from heliograph.clock import now_ns
from heliograph.contract.subjects import Kind, Subject, stream_name, stream_subjects
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.metrics import Metrics
from heliograph.process import Child
from heliograph.progress import Progress, Step
from heliograph.run.joined import embedded_bus

_SAMPLE_S: Final = 0.5
_REST_SAMPLES: Final = 10
_REST_LIMIT_S: Final = 120.0
_SET_LIMIT_S: Final = 300.0
_PUBLISHED_S: Final = 60.0


class _Lab(msgspec.Struct, frozen=True, kw_only=True):
    """An importing cluster in memory, and a bus."""

    west: MemoryCluster
    bus: str
    folder: Path


async def peerer_memory(clusters: int, nodes: int, progress: Progress) -> PeererMemory:
    """Measure a peerer with nothing, then over so many nodes in all, then started again."""
    each = nodes // clusters
    async with _lab() as lab, connect(_settings(lab.bus)) as connection:
        progress(Step("memory of an idle peerer"))
        with program_child(lab.folder, lab.bus, "peerer", "west") as peerer:
            idle = await _resident(peerer)
            for number in range(clusters):
                await _publish(connection, number, each)
            await _all_set(lab.west, clusters * each, progress)
            written = await _resident(peerer)
        with program_child(lab.folder, lab.bus, "peerer", "west") as peerer:
            progress(Step("once more, over Peers that are as they should be"))
            restarted = await _resident(peerer)
    return PeererMemory(
        idle_bytes=idle,
        bytes=written,
        restarted_bytes=restarted,
        clusters=clusters,
        nodes=clusters * each,
    )


def _settings(bus: str) -> ConnectionSettings:
    return ConnectionSettings(urls=(bus,), name="bench")


@asynccontextmanager
async def _lab() -> AsyncIterator[_Lab]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-bench-")))
        settings = MemoryClusterSettings(name="west", service_cidrs=("10.255.0.0/16",))
        west = await stack.enter_async_context(MemoryCluster(settings))
        west.apply(peer_crd())
        write_kubeconfig(folder / "kubeconfig", [west.access])
        bus = await stack.enter_async_context(embedded_bus())
        yield _Lab(west=west, bus=bus, folder=folder)


async def _publish(connection: Connection, cluster: int, nodes: int) -> None:
    """Let a cluster announce so many nodes, and say that these are all."""
    name = cluster_name(cluster)
    where = StreamSettings(name=stream_name(name), subjects=stream_subjects(name))
    await ensure_stream(connection, where)
    announcer = Announcer(
        connection,
        await read_stream(connection, name, (Kind.NODE,)),
        telemetry=telemetry.disabled(),
        metrics=Metrics("watcher", name),
        on_doubt=lambda _: None,
    )
    async with alongside(announcer.publisher.run()):
        for node, facts in announced_nodes(cluster, nodes):
            subject = Subject(cluster=name, kind=Kind.NODE, name=node)
            announcer.announce(node, {subject: facts}, Origin(seen_at_ns=now_ns()))
        await announcer.publisher.drain(_PUBLISHED_S)
        await announcer.renew_lease(announced_cluster(cluster))


async def _all_set(west: MemoryCluster, count: int, progress: Progress) -> None:
    """Wait until so many Peers are made.

    Raises:
        NotSeen: It took more than five minutes.
    """
    made = 0
    try:
        async with asyncio.timeout(_SET_LIMIT_S):
            while (made := west.requests["create", "peers"]) < count:
                progress(Step("setting Peers", done=made, total=count, unit="Peers"))
                await asyncio.sleep(_SAMPLE_S)
    except TimeoutError:
        raise NotSeen(f"{made} of {count} Peers are set") from None
    progress(Step("setting Peers", done=count, total=count, unit="Peers"))


async def _resident(peerer: Child) -> int:
    """Return the memory of the peerer once it rests.

    Raises:
        NotSeen: It did not within two minutes.
    """
    samples: list[dict[str, int]] = []
    try:
        async with asyncio.timeout(_REST_LIMIT_S):
            while not at_rest(samples[-_REST_SAMPLES:], _REST_SAMPLES):
                await asyncio.sleep(_SAMPLE_S)
                samples.append({"peerer": resident_bytes(peerer)})
    except TimeoutError:
        raise NotSeen(f"memory still changes after {_REST_LIMIT_S:.0f} s") from None
    return samples[-1]["peerer"]
