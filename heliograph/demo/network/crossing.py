"""The scenes: requests of a pod in west to a Service of east, through our own tunnels."""

from __future__ import annotations

import time
from typing import Final

from heliograph.demo.network.answered import ended, gap, steady, unknown_name
from heliograph.demo.network.joined import Clusters
from heliograph.demo.network.packets import datagrams_to, readable
from heliograph.demo.network.scene import NotSeen, Scene, Shown, Told
from heliograph.lab.network import Asker

NAME: Final = "important-service"
HOST: Final = f"{NAME}.default.svc.cluster.local"
BACKEND: Final = "backend-in-east"
BOUND_S: Final = 15.0
"""Within which a node that stopped answering loses its claims (docs/how-to/wireguard.md)."""

_CLIENT: Final = "client-in-west"
_CLIENTS_NODE: Final = "w1"
_PORT: Final = 51820
_SECRETS: Final = (HOST, BACKEND, "HTTP/1")
_SERVICE: Final = f"""\
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
spec: {{selector: {{app: {NAME}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


class Crossing:
    """What becomes of requests while east's Service and nodes come and go."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._claimed_at, self._served_on = "", ""
        self._asker: Asker | None = None

    def scenes(self) -> tuple[Scene, ...]:
        """Return all, in order."""
        return (self._serving(), self._exporting(), self._hiding(), self._dying(), self._ending())

    def _serving(self) -> Scene:
        return Scene(
            name="ask-before-export",
            done=f"{NAME} is created in east, with a pod; a pod in west asks http://{HOST}",
            expected="west does not know the name: nothing is shared that was not exported",
            play=self._serve,
        )

    def _exporting(self) -> Scene:
        return Scene(
            name="export",
            done=f"{NAME} is exported from east",
            expected=f"the pod in west, which asks on, is answered by {BACKEND}",
            play=self._export,
        )

    def _hiding(self) -> Scene:
        return Scene(
            name="no-plain-text",
            done="every packet on the way between the clusters is looked at while it is answered",
            expected="WireGuard's packets pass, and nothing of request or answer can be read",
            play=self._look,
        )

    def _dying(self) -> Scene:
        return Scene(
            name="node-dies",
            done="the node of east that west sends these requests to dies, as in a power failure",
            expected=f"within {BOUND_S:g} s another node has its claims, and answers go on",
            play=self._die,
        )

    def _ending(self) -> Scene:
        return Scene(
            name="withdraw",
            done=f"the export label is taken off {NAME}",
            expected="the name is gone from west",
            play=self._withdraw,
        )

    async def _serve(self) -> Shown:
        clusters, east = self._clusters, self._clusters.east
        self._claimed_at = await clusters.claimed_at(_CLIENTS_NODE)
        self._served_on = next(n.node for n in east.nodes if n.node != self._claimed_at)
        applied = await clusters.kubectl("east", "apply", "--filename=-", stdin=_SERVICE)
        await east.add_pod(BACKEND, node=self._served_on, labels={"app": NAME}, serves=8080)
        client = await clusters.west.add_pod(_CLIENT, node=_CLIENTS_NODE)
        begun_at = time.time()
        self._asker = client.ask(f"http://{HOST}/")
        answers = await self._asker.until(unknown_name)
        if any(answer.ok for answer in answers):
            raise NotSeen(f"{HOST} was answered in west before it was exported")
        where = f"{BACKEND} runs on {self._served_on}, {_CLIENT} on {_CLIENTS_NODE}"
        return Shown(
            seconds=ended(answers[-1]) - begun_at,
            told=(applied,),
            notes=(where, f"{_CLIENT} is told: {answers[-1].said}"),
        )

    async def _export(self) -> Shown:
        labelled, began_at = await self._label("heliograph.io/export=true")
        answers = await self._asking().until(lambda seen: any(a.ok for a in seen))
        first = next(answer for answer in answers if answer.ok)
        if first.said != BACKEND:
            raise NotSeen(f"{HOST} was answered by {first.said!r}, not by {BACKEND}")
        looked = await self._clusters.kubectl("west", "get", "service", NAME)
        said = f"{_CLIENT} is told: {first.said} ({first.took_ms:.1f} ms, with its name resolved)"
        seconds = ended(first) - began_at
        return Shown(seconds=seconds, told=(labelled, looked), notes=(said,))

    async def _look(self) -> Shown:
        asker, begun_at = self._asking(), time.time()
        capture = await self._clusters.laboratory.router.capture("east")
        await asker.until(lambda seen: steady(seen, begun_at))
        seen = capture.stop()
        passed = datagrams_to(seen, _PORT)
        if not passed:
            raise NotSeen(f"answers came, but no packet to WireGuard's port {_PORT} passed")
        if read := readable(seen, _SECRETS):
            raise NotSeen(f"{read} could be read on the way between the clusters")
        looked_for = ", ".join(map(repr, _SECRETS))
        return Shown(
            notes=(
                f"{passed} packets to UDP port {_PORT} passed during these requests",
                f"looked for, and found nowhere in {len(seen)} bytes: {looked_for}",
            )
        )

    async def _die(self) -> Shown:
        clusters, asker = self._clusters, self._asking()
        dying = await clusters.claimed_at(_CLIENTS_NODE)
        if dying == self._served_on:
            raise NotSeen(f"the claims have moved from {self._claimed_at} to {dying} by themselves")
        clusters.east.node(dying).kill()
        died_at = time.time()
        now = await self._claimed_elsewhere(dying)
        moved_at = time.time()
        answers = await asker.until(lambda seen: steady(seen, moved_at))
        if late := [a for a in answers if a.at > died_at + BOUND_S and not a.ok]:
            late_s = late[-1].at - died_at
            raise NotSeen(f"a request failed {late_s:.1f} s after {dying} died: {late[-1].said}")
        seconds = gap(answers, died_at)
        return Shown(
            seconds=seconds,
            told=(await clusters.peers("west"),),
            notes=(
                f"{dying} is dead, its claims are at {now}: answers again after {seconds:.1f} s",
            ),
        )

    async def _claimed_elsewhere(self, than: str) -> str:
        """Wait until another node has the claims alone; while they move, both may have some."""
        clusters = self._clusters
        while (held := await clusters.mesh.claims(clusters.west, _CLIENTS_NODE))[1:] or (
            held in ([], [than])
        ):
            pass  # each look takes its time, and the scene has a limit
        return held[0]

    async def _withdraw(self) -> Shown:
        labelled, began_at = await self._label("heliograph.io/export-")
        answers = await self._asking().until(unknown_name)
        looked = await self._clusters.kubectl("west", "get", "service", NAME, fails=True)
        if "NotFound" not in looked.text:
            raise NotSeen(f"the name is gone, the Service is not: {looked.text.strip()}")
        return Shown(
            seconds=ended(answers[-3]) - began_at,
            told=(labelled, looked),
            notes=(f"{_CLIENT} is told: {answers[-1].said}",),
        )

    async def _label(self, label: str) -> tuple[Told, float]:
        began_at = time.time()
        return await self._clusters.kubectl("east", "label", "service", NAME, label), began_at

    def _asking(self) -> Asker:
        if self._asker is None:
            raise NotSeen(f"{_CLIENT} does not ask yet: scenes are played in their order")
        return self._asker
