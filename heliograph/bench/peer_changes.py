"""How long a Peer in west needs to follow a node in east; ours and the floor's by turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from heliograph.bench.figures import compare
from heliograph.bench.many_nodes import announced_node, node_name
from heliograph.bench.peer_figures import PeerChanges
from heliograph.bench.relay import LABEL
from heliograph.bench.stage import Sight, Stage, program_child, relay, stage
from heliograph.bus.background import alongside
from heliograph.kilo.facts import PREFIX
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import NODES, Node, NodeSpec, ObjectMeta
from heliograph.kube.watch import Deleted, Listed, ListWatch, Upserted
from heliograph.progress import Progress, Step

SIDES: Final = {"ours": "east.node", "floor": "floor"}
"""What the names of each side's Peers begin with."""

_PROGRAMS: Final = (("watcher", "east"), ("watcher", "west"), ("peerer", "west"))
_WARM_UP: Final = 20
_PAUSE_S: Final = 0.15
_FRESH_S: Final = 86_400
_FLOORS: Final = 512
"""Where the floor's nodes begin to be counted: no two nodes share an address or a key."""


class PeerStopwatch(Sight):
    """What the endpoint of each Peer in west is."""

    def __init__(self, west: KubeClient) -> None:
        super().__init__()
        self._west = west
        self._ports: dict[str, int] = {}

    async def run(self) -> None:
        """Watch west, for ever."""
        async for event in ListWatch(self._west, PEERS).events():
            match event:
                case Listed(items=items):
                    self._note(*items)
                case Upserted(object=peer):
                    self._note(peer)
                case Deleted(object=peer):
                    self._ports.pop(peer.metadata.name, None)

    def seen(self, name: str, port: int) -> bool:
        """Tell whether a Peer is reached at this port."""
        return self._ports.get(name) == port

    def _note(self, *peers: Peer) -> None:
        for peer in peers:
            self._ports[peer.metadata.name] = peer.spec.endpoint.port if peer.spec.endpoint else 0
        self.noted()


async def peer_changes(samples: int, nodes: int, progress: Progress) -> PeerChanges:
    """Let nodes have other endpoints, so many times on either side, among so many nodes."""
    async with _peered(nodes, progress) as (staged, watch):
        progress(Step("warming up"))
        await _round(staged, watch, range(_WARM_UP), nodes)
        progress(Step(f"{samples} changes of nodes on either side, by turns"))
        taken_s = await _round(staged, watch, range(_WARM_UP, _WARM_UP + samples), nodes)
    return PeerChanges(
        changed=compare(taken_s["ours"], taken_s["floor"]), samples=samples, nodes=nodes
    )


@asynccontextmanager
async def _peered(nodes: int, progress: Progress) -> AsyncIterator[tuple[Stage, PeerStopwatch]]:
    """Run everything until each node has its Peer; the floor's ones say too little for Kilo."""
    async with stage(progress) as staged:
        watch = PeerStopwatch(staged.west)
        async with alongside(watch.run()):
            with ExitStack() as stack:
                for program, cluster in _PROGRAMS:
                    stack.enter_context(program_child(staged.folder, staged.bus, program, cluster))
                stack.enter_context(relay(staged, module="heliograph.bench.peer_relay"))
                progress(Step(f"{nodes} nodes on either side"))
                for number in range(nodes):
                    await staged.east.create(NODES, _node("ours", number))
                    await staged.east.create(NODES, _node("floor", number))
                names = [_peer_name(side, n) for side in SIDES for n in range(nodes)]
                await watch.until(lambda: all(watch.seen(name, _port(-1)) for name in names))
                yield staged, watch


async def _round(
    staged: Stage, watch: PeerStopwatch, numbers: range, nodes: int
) -> dict[str, list[float]]:
    taken_s: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in numbers:
        for side, seconds in taken_s.items():
            seconds.append(await _change(staged, watch, side, number, nodes))
            await asyncio.sleep(_PAUSE_S)
    return taken_s


async def _change(staged: Stage, watch: PeerStopwatch, side: str, number: int, nodes: int) -> float:
    """Let one node have another endpoint; return how long its Peer took."""
    node, port = number % nodes, _port(number)
    annotations = {f"{PREFIX}endpoint": f"198.51.100.7:{port}"}
    patch = {"metadata": {"annotations": annotations}}
    begun_s = time.perf_counter()
    await staged.east.merge_patch(NODES, "", _node_name(side, node), patch)
    await watch.until(lambda: watch.seen(_peer_name(side, node), port))
    return time.perf_counter() - begun_s


def _node(side: str, number: int) -> Node:
    """Return a node to create in east; one without heartbeat is no peer for the watcher."""
    floor = side == "floor"
    facts = announced_node(0, number + (_FLOORS if floor else 0))
    said = {
        "endpoint": f"198.51.100.7:{_port(-1)}",
        "internal-ip": f"{facts.private_ip}/16",
        "key": facts.public_key,
        "wireguard-ip": facts.tunnel_ip or "",
        "granularity": "full",
        "discovered-endpoints": "{}",
        "last-seen": "" if floor else str(int(time.time()) + _FRESH_S),
    }
    return Node(
        metadata=ObjectMeta(
            name=_node_name(side, number),
            labels={LABEL: "true"} if floor else {},
            annotations={f"{PREFIX}{key}": value for key, value in said.items()},
        ),
        spec=NodeSpec(pod_cidr=facts.pod_cidrs[0], pod_cidrs=facts.pod_cidrs),
    )


def _node_name(side: str, number: int) -> str:
    return f"{side}-{node_name(number)}"


def _peer_name(side: str, number: int) -> str:
    return f"{SIDES[side]}.{_node_name(side, number)}"


def _port(number: int) -> int:
    return 20_000 + number
