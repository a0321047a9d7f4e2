"""How much memory each program needs for each exported Service, on in-memory API servers."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from heliograph.bench.figures import Memory
from heliograph.bench.stage import Progress, program_child, resident_bytes
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.marks import EXPORT_LABEL
from heliograph.process import Child
from heliograph.run.joined import embedded_bus

_REST_S: Final = 3.0
_RANGES: Final = {"east": "10.96.0.0/16", "west": "10.97.0.0/16"}


async def memory(fewer: int, more: int, progress: Progress) -> Memory:
    """Measure watcher and reflector with nothing, with fewer, and with more Services."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-bench-")))
        clusters = {
            name: await stack.enter_async_context(
                MemoryCluster(MemoryClusterSettings(name=name, service_cidrs=(cidr,)))
            )
            for name, cidr in _RANGES.items()
        }
        write_kubeconfig(folder / "kubeconfig", [c.access for c in clusters.values()])
        bus = await stack.enter_async_context(embedded_bus())
        children = {
            program: stack.enter_context(program_child(folder, bus, program, cluster))
            for program, cluster in (("watcher", "east"), ("reflector", "west"))
        }
        sizes = [await _resident(children)]
        for count in (fewer, more):
            progress(f"{count} Services")
            await _export(clusters["east"], clusters["west"], count)
            sizes.append(await _resident(children))
    idle, small, large = sizes
    return Memory(
        bytes_per_service={p: (large[p] - small[p]) // (more - fewer) for p in children},
        idle_bytes=idle,
        services=(fewer, more),
    )


async def _export(east: MemoryCluster, west: MemoryCluster, count: int) -> None:
    have = len(east.list("Service", "default"))
    for number in range(have, count + 1):
        east.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": f"web-{number}",
                    "namespace": "default",
                    "labels": {EXPORT_LABEL: "true", "app": f"web-{number}"},
                },
                "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": "web"}},
            }
        )
        await asyncio.sleep(0)
    while len(west.list("EndpointSlice", "default")) < count:  # noqa: ASYNC110 - another process writes
        await asyncio.sleep(1)


async def _resident(children: dict[str, Child]) -> dict[str, int]:
    """Return the memory of each program once it rests."""
    await asyncio.sleep(_REST_S)
    return {program: resident_bytes(child) for program, child in children.items()}
