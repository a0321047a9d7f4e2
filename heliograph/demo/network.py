"""A request that really crosses: what is done in a network of its own, and what is seen of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.controlplane import ensure_built
from heliograph.lab.network import (
    Answer,
    Asker,
    ClusterSpec,
    Laboratory,
    LaboratorySpec,
    NodeSpec,
)
from heliograph.lab.network.mesh import Mesh

TWO_CLUSTERS: Final = LaboratorySpec(
    clusters=(
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1"), NodeSpec(name="w2"))),
        ClusterSpec(name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2"))),
    ),
)
NAME: Final = "important-service"
URL: Final = f"http://{NAME}.default.svc.cluster.local/"
_SERVICE: Final = f"""\
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
spec: {{selector: {{app: {NAME}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
_STEP_S: Final = 60.0
_GONE: Final = 3


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step.

    Attributes:
        seconds: After which it was seen; None where it took no waiting.
        lines: What a person would have seen.
    """

    seconds: float | None = None
    lines: tuple[str, ...] = ()


class NetworkStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is done in the network.

    Attributes:
        name: For programs.
        done: What is done, for people.
        expected: What should be seen, for people.
        play: Does it and waits; raises TimeoutError if it is not seen.
    """

    name: str
    done: str
    expected: str
    play: Callable[[], Awaitable[Seen]]


@asynccontextmanager
async def network(
    folder: Path, progress: Callable[[str], None]
) -> AsyncIterator[tuple[NetworkStep, ...]]:
    """Give the steps, in a network that stands for as long as this lasts.

    Raises:
        NetworkUnavailable: This machine cannot have a network; says what is missing.
    """
    async with Laboratory(TWO_CLUSTERS, folder, progress=progress) as laboratory:
        binary = await ensure_built(progress)
        mesh = Mesh(laboratory, (str(binary), "wireguard-go"))
        await mesh.prepare()
        try:
            yield _Play(mesh).steps()
        finally:
            await asyncio.to_thread(mesh.stop)


class _Play:
    """What is done, step by step."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._west, self._east = (mesh.laboratory.clusters[name] for name in ("west", "east"))
        self._asker: Asker | None = None

    def steps(self) -> tuple[NetworkStep, ...]:
        """Return all steps, in their order."""
        return (
            NetworkStep(
                name="tunnels",
                done="in both clusters: a watcher, a reflector, and an agent on each node",
                expected="every node has a tunnel to each node of the other cluster",
                play=self._start,
            ),
            NetworkStep(
                name="request",
                done=f"kubectl --context east label service {NAME} heliograph.io/export=true",
                expected=f"a pod in west asks {URL} and a pod in east answers",
                play=self._export,
            ),
            NetworkStep(
                name="secret",
                done="every packet between the clusters is written down for two seconds",
                expected="requests pass, and nothing of them can be read",
                play=self._capture,
            ),
            NetworkStep(
                name="death",
                done="the power of the node of east with the claim fails",
                expected="another node has it, and requests go on",
                play=self._kill,
            ),
            NetworkStep(
                name="withdrawal",
                done=f"kubectl --context east label service {NAME} heliograph.io/export-",
                expected="the name is gone in west",
                play=self._withdraw,
            ),
        )

    @property
    def _asking(self) -> Asker:
        if self._asker is None:
            raise RuntimeError("nobody asks yet")
        return self._asker

    async def _start(self) -> Seen:
        began_s = time.monotonic()
        await asyncio.to_thread(self._mesh.start)
        async with asyncio.timeout(_STEP_S):
            while await self._answering() < len(self._west.nodes) * len(self._east.nodes):
                pass  # asking takes its time
        seconds = time.monotonic() - began_s
        told = await self._heliograph("peers")
        lines = ("$ heliograph peers --cluster west", *told.splitlines())
        return Seen(seconds=seconds, lines=lines)

    async def _export(self) -> Seen:
        (await self._east.kubectl("apply", "--filename=-", stdin=_SERVICE)).text()
        for number, node in enumerate(self._east.nodes, start=1):
            labels = {"app": NAME}
            await self._east.add_pod(f"{NAME}-{number}", node=node.node, labels=labels, serves=8080)
        client = await self._west.add_pod("client", node="w1")
        self._asker = client.ask(URL)
        began_s = time.monotonic()
        label = ("label", "service", NAME, "heliograph.io/export=true")
        (await self._east.kubectl(*label)).text()
        answer = await self._asking.next_ok(within_s=_STEP_S)
        seconds = time.monotonic() - began_s
        lines = (f"$ kubectl --context west exec client -- curl {URL}", answer.said)
        return Seen(seconds=seconds, lines=lines)

    async def _capture(self) -> Seen:
        capture = await self._mesh.laboratory.router.capture("east")
        for _ in range(_GONE):
            await self._asking.next_ok()
        seen = await asyncio.to_thread(capture.stop)
        if b"HTTP/1" in seen or NAME.encode() in seen:
            raise TimeoutError
        return Seen(lines=(f"{len(seen)} bytes, and neither {NAME!r} nor 'HTTP' in them",))

    async def _kill(self) -> Seen:
        holder = await self._holder()
        await asyncio.to_thread(self._east.node(holder).kill)
        died_s = time.time()
        await self._report_not_ready(holder)
        answers = await self._asking.until(lambda seen: _answered_again(seen, died_s), _STEP_S)
        now = f"the claim was at {holder}, and is at {await self._holder()}; answered again by"
        return Seen(seconds=answers[-1].at - died_s, lines=(f"{now} {answers[-1].said}",))

    async def _report_not_ready(self, node: str) -> None:
        """Say that a node's pods are not ready, as its cluster does some time after its death."""
        number = [one.node for one in self._east.nodes].index(node) + 1
        await self._east.pod(f"{NAME}-{number}").report(ready=False)

    async def _withdraw(self) -> Seen:
        began_s = time.time()
        label = ("label", "service", NAME, "heliograph.io/export-")
        (await self._east.kubectl(*label)).text()
        answers = await self._asking.until(
            lambda seen: len(seen) > _GONE and not any(one.ok for one in seen[-_GONE:]), _STEP_S
        )
        last = max((one.at for one in answers if one.ok), default=began_s)
        return Seen(seconds=max(0.0, last - began_s), lines=(answers[-1].said,))

    async def _answering(self) -> int:
        """Return how many tunnels of west's nodes answer."""
        try:
            told = json.loads(await self._heliograph("peers", "--output=json"))
        except ValueError:  # no agent has spoken yet
            return 0
        tunnels = [tunnel for node in told["nodes"] for tunnel in node["tunnels"]]
        return sum(tunnel["state"] == "answering" for tunnel in tunnels)

    async def _holder(self) -> str:
        """Return the node of east through which w1 reaches east's Services."""
        told = json.loads(await self._heliograph("peers", "w1", "--output=json"))
        tunnels = [tunnel for node in told["nodes"] for tunnel in node["tunnels"]]
        return next((tunnel["peer"] for tunnel in tunnels if tunnel["claims"]), "")

    async def _heliograph(self, *arguments: str) -> str:
        """Return what a command prints that asks west's bus; also if not all have answered."""
        common = self._mesh.common(self._west)
        ended = await self._west.control_plane.heliograph_once(*arguments, *common)
        return ended.stdout


def _answered_again(answers: Sequence[Answer], since_s: float) -> bool:
    """Tell whether a request failed after a moment, and one after it was answered."""
    later = [one.ok for one in answers if one.at > since_s]
    return bool(later) and later[-1] and not all(later)
