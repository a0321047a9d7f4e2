"""How long nodes need until they have a peer for a node that was just announced."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from heliograph.bench.figures import compare
from heliograph.bench.stage import NotSeen
from heliograph.bench.tunnel_figures import Announcements
from heliograph.lab.network import (
    Cluster,
    ClusterSpec,
    Laboratory,
    LaboratorySpec,
    NodeSpec,
    Program,
)
from heliograph.lab.network.mesh import Mesh
from heliograph.progress import Progress, Step

_REST_S: Final = 0.15
_WAIT_S: Final = 30.0
_POLL_S: Final = 0.01
_READY_S: Final = 60.0


class _Line(msgspec.Struct, frozen=True):
    """What matters of a line of a log."""

    event: str = ""
    timestamp: str = ""
    at_s: float = 0.0


async def announcements(
    samples: int, nodes: int, folder: Path, binary: Path, progress: Progress
) -> Announcements:
    """Announce so many nodes to agents, then to relays, on so many nodes each."""
    west = ClusterSpec(name="west", nodes=tuple(NodeSpec(name=f"w{n}") for n in range(nodes)))
    east = ClusterSpec(name="east", nodes=(NodeSpec(name="e0"),))
    spec = LaboratorySpec(clusters=(west, east))
    async with Laboratory(spec, folder, progress=progress) as laboratory:
        stage = _Stage(laboratory, binary)
        await stage.prepare()
        progress(Step(f"{samples} nodes are announced to {nodes} agents"))
        ours = await stage.announce(samples, stage.agents(), _changed_at)
        progress(Step(f"{samples} nodes are announced to the floor's relays"))
        floor = await stage.announce(samples, stage.relays(), _stood_at)
        stage.stop()
    above_s = statistics.median(ours) - statistics.median(floor)
    return Announcements(
        configured=compare(ours, floor),
        above_floor_p50_ms=round(above_s * 1000, 1),
        nodes=nodes,
        samples=samples,
    )


class _Stage:
    """Two clusters, the programs that both sides need, and what is measured."""

    def __init__(self, laboratory: Laboratory, binary: Path) -> None:
        self._west, self._east = (laboratory.clusters[name] for name in ("west", "east"))
        self._mesh = Mesh(laboratory, binary)
        self._wireguard = (str(binary), "wireguard-go")
        self._programs: list[Program] = []
        self._announced = 0

    async def prepare(self) -> None:
        """Start the watcher of east, and what writes down in west that east takes part."""
        await self._mesh.prepare()
        pods = f"--pod-cidrs={self._east.plan.pods}"
        self._start(self._east, "watcher", pods)
        self._start(self._west, "reflector", f"--import-from=east={self._east.nats_url}")

    def agents(self) -> list[Program]:
        """Start an agent on each node of west."""
        return [self._mesh.start_agent(self._west, node) for node in self._west.nodes]

    def relays(self) -> list[Program]:
        """Start the floor's relay on each node of west."""
        module = (sys.executable, "-m", "heliograph.bench.tunnel_relay")
        return [
            node.spawn(
                (*module, self._east.nats_url, "east", "floor0", *self._wireguard), name="floor"
            )
            for node in self._west.nodes
        ]

    async def announce(
        self, samples: int, programs: list[Program], at_s: Callable[[_Line], float]
    ) -> list[float]:
        """Announce nodes one after another; return how long each program needed for each."""
        await self._until_all_listen(programs, at_s)
        taken: list[float] = []
        for _ in range(samples):
            await asyncio.sleep(_REST_S)
            before = [len(_times(one, at_s)) for one in programs]
            begun_s = time.time()
            await self._add_node()
            await _until(lambda: _all_longer(programs, at_s, before), _WAIT_S)  # noqa: B023
            firsts = (_times(one, at_s)[count] for one, count in zip(programs, before, strict=True))
            taken += [first - begun_s for first in firsts]
        for one in programs:
            one.stop()
        return taken

    async def _until_all_listen(
        self, programs: list[Program], at_s: Callable[[_Line], float]
    ) -> None:
        """Announce nodes until every program has taken one."""
        async with asyncio.timeout(_READY_S):
            while not all(_times(one, at_s) for one in programs):
                await self._add_node()
                await asyncio.sleep(1)
        await asyncio.sleep(1)

    def stop(self) -> None:
        """End the programs; tunnels end with their hosts."""
        for program in self._programs:
            program.stop()

    def _start(self, cluster: Cluster, name: str, *flags: str) -> None:
        self._programs.append(
            cluster.control_plane.heliograph(name, *self._mesh.common(cluster), *flags)
        )

    async def _add_node(self) -> None:
        """Write a Node into east, as its agent leaves it; nobody reaches it."""
        self._announced += 1
        number = self._announced
        cidr = str(next(self._east.plan.pods.subnets(new_prefix=24)).network_address + number * 256)
        key = base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()
        annotations = {
            "heliograph.io/public-key": key,
            "heliograph.io/tunnel-ip": f"100.64.{128 + number // 250}.{number % 250 + 1}/18",
        }
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"announced-{number}", "annotations": annotations},
            "spec": {"podCIDR": f"{cidr}/24", "podCIDRs": [f"{cidr}/24"]},
        }
        await self._east.api.create("/api/v1/nodes", node)


def _all_longer(programs: list[Program], at_s: Callable[[_Line], float], before: list[int]) -> bool:
    pairs = zip(programs, before, strict=True)
    return all(len(_times(one, at_s)) > count for one, count in pairs)


def _times(program: Program, at_s: Callable[[_Line], float]) -> list[float]:
    """Return when a program had done something, by its log."""
    lines = program.settings.log.read_bytes().split(b"\n")[:-1]  # the last may be half
    found = (at_s(msgspec.json.decode(line, type=_Line)) for line in lines if line[:1] == b"{")
    return [time_s for time_s in found if time_s]


def _changed_at(line: _Line) -> float:
    if line.event != "tunnels changed":
        return 0.0
    return datetime.fromisoformat(line.timestamp).timestamp()


def _stood_at(line: _Line) -> float:
    return line.at_s


async def _until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait until a condition holds.

    Raises:
        NotSeen: It did not in time.
    """
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - files tell of it
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotSeen(f"peers were not configured within {within_s:.0f} s") from None
