"""Two clusters in a laboratory's network and Heliograph's programs: how they come to stand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from heliograph.demo.network.scene import NotSeen, Scene, Shown, Told
from heliograph.lab.network import Cluster, ClusterSpec, CommandFailed, Laboratory, LaboratorySpec
from heliograph.lab.network.mesh import Mesh
from heliograph.lab.network.spec import NodeSpec
from heliograph.progress import Progress

SPEC: Final = LaboratorySpec(
    clusters=(
        ClusterSpec(name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2"))),
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1"), NodeSpec(name="w2"))),
    )
)

_READY_S: Final = 60.0  # seconds: eight interpreters start at once
_LOOKS: Final = 100  # each takes half a second or more
_COLUMNS: Final = "NODE:.metadata.name,ADDRESS:.status.addresses[0].address,PODS:.spec.podCIDR"


class Clusters:
    """East and west, with their programs.

    Attributes:
        laboratory: Their network.
        mesh: Their programs.
    """

    def __init__(self, stack: AsyncExitStack, laboratory: Laboratory, binary: Path) -> None:
        self._stack, self.laboratory = stack, laboratory
        self.mesh = Mesh(laboratory, binary)

    @property
    def east(self) -> Cluster:
        """The cluster that serves."""
        return self.laboratory.clusters["east"]

    @property
    def west(self) -> Cluster:
        """The cluster that asks."""
        return self.laboratory.clusters["west"]

    def scenes(self) -> tuple[Scene, ...]:
        """Return those in which all comes to stand."""
        return (
            Scene(
                name="clusters",
                done="two clusters of two nodes each are started, in a network of their own",
                expected="API servers, kube-proxy and cluster DNS work on every node",
                play=self._stand,
            ),
            Scene(
                name="programs",
                done="in each cluster a watcher and a reflector start, and an agent on each node",
                expected="every program says on its page that it is ready",
                play=self._start,
            ),
            Scene(
                name="tunnels",
                done="nothing more: the agents find each other over the bus, and make tunnels",
                expected="every node is answered by both nodes of the other cluster",
                play=self._join,
            ),
        )

    async def kubectl(
        self, cluster: str, *arguments: str, stdin: str = "", fails: bool = False
    ) -> Told:
        """Run kubectl in a cluster.

        Raises:
            CommandFailed: It failed; if it is to fail, what it said is returned instead.
        """
        done = await self.laboratory.clusters[cluster].kubectl(*arguments, stdin=stdin)
        text = done.stderr if fails and done.exit_code else done.text()
        return Told(command=" ".join(("kubectl", "--context", cluster, *arguments)), text=text)

    async def peers(self, cluster: str) -> Told:
        """Ask a cluster's agents for their tunnels; those that do not answer are named."""
        done = await self.mesh.peers(self.laboratory.clusters[cluster])
        return Told(command=f"heliograph peers --cluster {cluster}", text=done.stdout + done.stderr)

    async def claimed_at(self, node: str) -> str:
        """Return the node of east that a node of west has claims at.

        Raises:
            NotSeen: It has them nowhere, or at several.
        """
        held = await self.mesh.claims(self.west, node)
        if len(held) != 1:
            raise NotSeen(f"{node} has claims of east at {' and '.join(held) or 'no node'}")
        return held[0]

    async def _stand(self) -> Shown:
        await self._stack.enter_async_context(self.laboratory)
        columns = ("get", "nodes", f"--output=custom-columns={_COLUMNS}")
        return Shown(told=tuple([await self.kubectl(name, *columns) for name in ("east", "west")]))

    async def _start(self) -> Shown:
        await self.mesh.prepare()
        self.mesh.start()
        await self.mesh.ready(within_s=_READY_S)
        return Shown()

    async def _join(self) -> Shown:
        for here, there in ((self.east, self.west), (self.west, self.east)):
            for _ in range(_LOOKS):
                if await self._joined(here, there):
                    break
            else:
                told = await self.peers(here.name)
                raise NotSeen(f"not every tunnel of {here.name} is answered:\n{told.text}")
        return Shown(told=(await self.peers("east"), await self.peers("west")))

    async def _joined(self, here: Cluster, there: Cluster) -> bool:
        """Tell whether each node is answered by all of the other cluster, and has one claim."""
        try:
            tunnels = await self.mesh.tunnels(here)
        except CommandFailed:  # not all agents have been heard yet
            return False
        wanted = {node.node for node in there.nodes}
        return set(tunnels) == {node.node for node in here.nodes} and all(
            {t.peer for t in of if t.state == "answering"} == wanted
            and sum(bool(t.claims) for t in of) == 1
            for of in tunnels.values()
        )


@asynccontextmanager
async def clusters(folder: Path, binary: Path, progress: Progress) -> AsyncIterator[Clusters]:
    """Prepare two clusters; whatever the scenes start ends here."""
    async with AsyncExitStack() as stack:
        yield Clusters(stack, Laboratory(SPEC, folder, progress=progress), binary)
