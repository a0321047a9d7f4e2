"""What an agent does among many peers: the first configuration, and one change.

A program of its own, for a network namespace of its own: `python -m heliograph.bench.many_peers
PEERS CHANGES FOLDER PROGRAM...` makes an interface, removes it, and prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from structlog.testing import capture_logs

from heliograph.admission.decide import decide
from heliograph.bench.many_nodes import announced_node, cluster_name, node_name
from heliograph.bench.planning import fold, table_of
from heliograph.bench.tunnel_figures import ManyPeersMeasured
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind
from heliograph.metrics import Metrics
from heliograph.program import run
from heliograph.wireguard.device import Device, DevicePeer, SetPeer
from heliograph.wireguard.errors import TunnelBusy
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.keeping import Keeper
from services.peerer.wireguard.picture import Picture
from services.peerer.wireguard.settings import AgentSettings
from services.peerer.wireguard.tunnels import Tunnels

_WEST: Final = ClusterId("west")
_ADDRESS: Final = "100.127.0.1/16"
_LONG_AGO: Final = "2026-01-01T00:00:00Z"
_CLUSTERS: Final = 10
_MTU: Final = 1420


class Many:
    """An agent's tunnels among many nodes, without a cluster and a bus."""

    def __init__(self, peers: int, folder: Path, program: str) -> None:
        """Let so many nodes be known, in ten clusters."""
        self.own = AgentSettings(
            node="w1",
            interface="hg-bench",
            key_file=folder / "wireguard.key",
            mtu=_MTU,
            userspace=program,
        )
        self.each = peers // _CLUSTERS
        self.picture = Picture(_WEST, PeererSettings(cluster=_WEST), node="w1")
        for number in range(_CLUSTERS):
            nodes = ((node_name(n), _node(number, n)) for n in range(self.each))
            self.picture.tables[cluster_name(number)] = table_of(number, nodes)
        found = (self.picture.declaration(c) for c in self.picture.tables)
        declared = [one for one in found if one is not None]
        self.picture.decision = decide(None, declared, {}, _LONG_AGO)
        self.picture.changed()
        self.identity = Identity(self.own, self.picture)
        self.identity.address = _ADDRESS
        self.keeper = Keeper(self.own, self.picture, self.identity, Metrics("agent", _WEST))

    def change(self, number: int) -> None:
        """Let one node have another endpoint."""
        cluster, node = number % _CLUSTERS, number % self.each
        changed = msgspec.structs.replace(_node(cluster, node), endpoint=_endpoint(number))
        name = cluster_name(cluster)
        fold(self.picture.tables[name], Kind.NODE, node_name(node), changed)
        self.picture.contested()
        self.picture.changed()


async def measure(peers: int, changes: int, folder: Path, program: str) -> ManyPeersMeasured:
    """Return what was measured; nothing stays."""
    many = Many(peers, folder, program)
    try:
        await many.keeper.open()
        first = await _timed(many)
        await _delete(many)
        await _open_again(many)
        again = await _timed(many)
        standing = many.keeper.standing
        assert standing is not None  # noqa: S101 - it was opened
        taken, written = [], 0
        for number in range(changes):
            many.change(number)
            with capture_logs() as logs:
                taken.append(await _timed(many))
            written += sum(log.get("peers", 0) for log in logs)
    finally:
        many.keeper.close()
        await _delete(many)
    routes = sorted(route.destination for route in standing.interface.routes)
    floor = await _floor(many, standing.device, routes, changes)
    return ManyPeersMeasured(
        first=first,
        again=again,
        changes=tuple(taken),
        written=written,
        floor_first=floor[0],
        floor_changes=floor[1],
        peers=len(standing.device.peers),
        routes=len(routes),
    )


async def _delete(many: Many) -> None:
    """Delete the interface, as somebody else would."""
    tunnels = Tunnels(many.own)
    await tunnels.remove()
    tunnels.close()
    many.keeper.forget()


async def _open_again(many: Many) -> None:
    """Make the interface again; the program of the one that was deleted takes its time to end."""
    while True:
        try:
            await many.keeper.open()
        except TunnelBusy:
            await asyncio.sleep(0.01)
        else:
            return


async def _timed(many: Many) -> float:
    begun_s = time.perf_counter()
    await many.keeper.reconcile()
    return time.perf_counter() - begun_s


async def _floor(
    many: Many, device: Device, routes: list[str], changes: int
) -> tuple[float, tuple[float, ...]]:
    """Return how long the tools of WireGuard and iproute2 need for the same, on a new interface."""
    await _open_again(many)
    many.keeper.close()
    tunnels = Tunnels(many.own)
    try:
        await tunnels.open(lambda _: many.identity.key)
        await asyncio.to_thread(_ip, ["link set dev hg-bench up"])
        file = many.own.key_file.with_name("peers.conf")
        file.write_text("\n".join(_lines(device.peers)))
        lines = [f"route add {cidr} dev hg-bench proto 72" for cidr in routes]
        begun_s = time.perf_counter()
        await asyncio.to_thread(_run, ["wg", "addconf", "hg-bench", str(file)])
        await asyncio.to_thread(_ip, lines)
        first = time.perf_counter() - begun_s
        standing, taken = await tunnels.look(), []
        assert standing is not None  # noqa: S101 - it was opened
        for number in range(changes):
            key = _node(number % _CLUSTERS, number % many.each).public_key
            change = SetPeer(public_key=key, endpoint=f"198.51.100.9:{number + 1}")
            begun_s = time.perf_counter()
            await tunnels.change_peers(standing, [change])
            taken.append(time.perf_counter() - begun_s)
    finally:
        await tunnels.remove()
        tunnels.close()
    return first, tuple(taken)


def _lines(peers: Mapping[str, DevicePeer]) -> Iterator[str]:
    """Yield a file for `wg addconf`."""
    for key, peer in peers.items():
        yield f"[Peer]\nPublicKey = {key}\nAllowedIPs = {', '.join(sorted(peer.allowed_ips))}"
        yield f"Endpoint = {peer.endpoint}\nPersistentKeepalive = {peer.persistent_keepalive}"


def _ip(lines: list[str]) -> None:
    _run(["ip", "-batch", "-"], "\n".join((*lines, "")))


def _run(command: list[str], text: str = "") -> None:
    program = shutil.which(command[0]) or command[0]
    subprocess.run([program, *command[1:]], input=text, text=True, check=True)


def _node(cluster: int, node: int) -> NodeAnnounced:
    """Return a node with three ranges: two of pods, and its tunnel address."""
    made = announced_node(cluster, node)
    third = made.pod_cidrs[0].removesuffix("0/24")
    halves = (f"{third}0/25", f"{third}128/25")
    return msgspec.structs.replace(made, pod_cidrs=halves, peering="wireguard")


def _endpoint(number: int) -> str:
    return f"198.51.100.7:{number + 1}"


async def _main() -> None:
    """Measure what the command line says."""
    peers, changes, folder, *program = sys.argv[1:]
    measured = await measure(int(peers), int(changes), Path(folder), " ".join(program))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")


if __name__ == "__main__":
    sys.exit(run(_main()))  # as an agent runs
