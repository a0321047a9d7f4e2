"""The floor for peers: a minimal relay that watches nodes in east and writes Peers in west.

One process, raw watch lines, one write for each node, by the same client; no bus, no tables, no
mesh, no safety. `python -m heliograph.bench.peer_relay KUBECONFIG VALUE` runs it for the nodes
whose label has that value.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from heliograph import program
from heliograph.bench.relay import LABEL
from heliograph.kilo.facts import PREFIX
from heliograph.kilo.peer import PEERS, DNSOrIP, Peer, PeerEndpoint, PeerSpec
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import NODES, Node, ObjectMeta
from heliograph.kube.watch import Listed, ListWatch, Upserted


class PeerRelay:
    """Copies labelled nodes; knows of each Peer only which version it wrote last."""

    def __init__(self, east: KubeClient, west: KubeClient, wanted: str) -> None:
        """Prepare; `wanted` is the value of the label on the nodes to copy."""
        self._east, self._west, self._wanted = east, west, wanted
        self._versions: dict[str, str] = {}

    async def run(self) -> None:
        """Relay for ever."""
        watch = ListWatch(self._east, NODES, selection=Selection(labels=f"{LABEL}={self._wanted}"))
        async with asyncio.TaskGroup() as tasks:
            async for event in watch.events():
                match event:
                    case Listed(items=items):
                        nodes = tuple(items)
                    case Upserted(object=node):
                        nodes = (node,)
                    case _:
                        continue
                for node in nodes:
                    tasks.create_task(self._relay(node))

    async def _relay(self, node: Node) -> None:
        name = f"floor.{node.metadata.name}"
        version = self._versions.get(name, "")
        peer = _peer(node, ObjectMeta(name=name, resource_version=version))
        write = self._west.replace if version else self._west.create
        written = await write(PEERS, peer)
        self._versions[name] = written.metadata.resource_version


def _peer(node: Node, metadata: ObjectMeta) -> Peer:
    said = node.metadata.annotations
    host, _, port = said[f"{PREFIX}endpoint"].rpartition(":")
    return Peer(
        metadata=metadata,
        spec=PeerSpec(
            allowed_ips=(node.spec.pod_cidr,),
            endpoint=PeerEndpoint(dns_or_ip=DNSOrIP(ip=host), port=int(port)),
            public_key=said[f"{PREFIX}key"],
        ),
    )


async def _main(path: Path, wanted: str) -> None:
    async with (
        KubeClient("east", Kubeconfig(path=path, context="east")) as east,
        KubeClient("west", Kubeconfig(path=path, context="west")) as west,
    ):
        await PeerRelay(east, west, wanted).run()


if __name__ == "__main__":
    sys.exit(program.run(_main(Path(sys.argv[1]), sys.argv[2])))
