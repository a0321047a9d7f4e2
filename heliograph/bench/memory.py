"""How much memory each program needs for each exported Service, on in-memory API servers.

Every Service has an EndpointSlice with two backends, as Kubernetes' own controller writes it. All
are made as fast as can be, so what a program holds of changes under way counts as well.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from heliograph.bench.figures import Memory, at_rest
from heliograph.bench.stage import NotSeen, program_child, resident_bytes
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.marks import EXPORT_LABEL, SERVICE_NAME_LABEL, SLICE_MANAGED_BY_LABEL
from heliograph.process import Child
from heliograph.progress import Progress, Step
from heliograph.run.joined import embedded_bus

_SAMPLE_S: Final = 0.5
_REST_SAMPLES: Final = 10
"""So many samples running must show the same memory: longer than a lease's period."""

_REST_LIMIT_S: Final = 60.0
_MIRRORED_LIMIT_S: Final = 300.0
_RANGES: Final = {"east": "10.96.0.0/16", "west": "10.97.0.0/16"}
Json = dict[str, Any]


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
        progress(Step("memory of idle programs"))
        sizes = [await _resident(children)]
        for first, count in ((0, fewer), (fewer, more)):
            await _export(clusters["east"], range(first, count))
            await _mirrored(clusters["west"], count, progress)
            sizes.append(await _resident(children))
    idle, small, large = sizes
    return Memory(
        bytes_per_service={p: (large[p] - small[p]) // (more - fewer) for p in children},
        idle_bytes=idle,
        services=(fewer, more),
    )


async def _export(east: MemoryCluster, numbers: range) -> None:
    for number in numbers:
        east.apply(_service(number))
        east.apply(_slice(number))
        await asyncio.sleep(0)


async def _mirrored(west: MemoryCluster, count: int, progress: Progress) -> None:
    """Wait until the last part of each mirror is there: its slice.

    Raises:
        NotSeen: It took more than five minutes.
    """
    written = 0
    text = f"mirroring {count:,} Services"
    try:
        async with asyncio.timeout(_MIRRORED_LIMIT_S):
            while written < count:
                await asyncio.sleep(_SAMPLE_S)
                written = west.requests["create", "endpointslices"]
                progress(Step(text, done=written, total=count, unit="Services"))
    except TimeoutError:
        raise NotSeen(f"{written} of {count} Services are mirrored") from None


async def _resident(children: Mapping[str, Child]) -> dict[str, int]:
    """Return the memory of each program once it rests.

    Raises:
        NotSeen: It did not within a minute.
    """
    samples: list[dict[str, int]] = []
    try:
        async with asyncio.timeout(_REST_LIMIT_S):
            while not at_rest(samples[-_REST_SAMPLES:], _REST_SAMPLES):
                await asyncio.sleep(_SAMPLE_S)
                samples.append({p: resident_bytes(child) for p, child in children.items()})
    except TimeoutError:
        raise NotSeen(f"memory still changes after {_REST_LIMIT_S:.0f} s") from None
    return samples[-1]


def _service(number: int) -> Json:
    name = f"web-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {EXPORT_LABEL: "true", "app": name}},
        "spec": {
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            "selector": {"app": name},
        },
    }


def _slice(number: int) -> Json:
    name = f"web-{number}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-x7k2p",
            "labels": {
                "app": name,
                SERVICE_NAME_LABEL: name,
                SLICE_MANAGED_BY_LABEL: "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "endpoints": [_backend(name, number, part) for part in range(2)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def _backend(service: str, number: int, part: int) -> Json:
    return {
        "addresses": [f"10.{32 + part}.{number // 250}.{number % 250 + 1}"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"node-{part}",
        "targetRef": {"kind": "Pod", "namespace": "default", "name": f"{service}-{part}"},
    }
