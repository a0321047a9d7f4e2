"""All about tunnels of our own: who was just announced, and one change among many peers."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from heliograph.bench.announced import announcements
from heliograph.bench.figures import compare
from heliograph.bench.tunnel_figures import ManyPeers, ManyPeersMeasured, TunnelFigures
from heliograph.errors import InputError
from heliograph.lab.controlplane import ensure_built
from heliograph.lab.network import ClusterSpec, Laboratory, LaboratorySpec, NodeSpec
from heliograph.progress import Progress, Step

_FEWEST_SAMPLES: Final = 2
_MOST_PEERS: Final = 10_000
_CLUSTERS: Final = 10
_ROUNDS: Final = 3
_CHANGES: Final = 50
_ALONE: Final = LaboratorySpec(
    clusters=(ClusterSpec(name="west", nodes=(NodeSpec(name="w1"),)),), kubernetes=False
)


async def tunnels(samples: int, nodes: int, peers: int, progress: Progress) -> TunnelFigures:
    """Measure so many announcements to so many nodes, and changes among so many peers.

    Raises:
        InputError: A number that cannot be.
        NetworkUnavailable: This machine cannot have a network.
    """
    if samples < _FEWEST_SAMPLES or nodes < 1:
        raise InputError(f"--samples {samples}, --nodes {nodes} cannot be: give at least 2 and 1")
    if not _CLUSTERS <= peers <= _MOST_PEERS:
        raise InputError(f"--peers {peers} cannot be: give a number from 10 to {_MOST_PEERS}")
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        binary = await ensure_built(progress)
        many = await _many(peers, Path(folder) / "many", binary, progress)
        announced = await announcements(
            samples, nodes, Path(folder) / "announced", binary, progress
        )
    return TunnelFigures(announcements=announced, many=many)


async def _many(peers: int, folder: Path, binary: Path, progress: Progress) -> ManyPeers:
    """Measure some rounds, each on a new interface, in a network of their own."""
    rounds = []
    text = f"changes among {peers:,} peers"
    async with Laboratory(_ALONE, folder) as laboratory:
        node = laboratory.clusters["west"].node("w1")
        arguments = (str(peers), str(_CHANGES), str(node.folder), str(binary), "wireguard-go")
        for number in range(_ROUNDS):
            progress(Step(text, done=number, total=_ROUNDS, unit="rounds"))
            ran = await node.run(
                (sys.executable, "-m", "heliograph.bench.many_peers", *arguments), timeout_s=300
            )
            line = ran.text().strip().rpartition("\n")[2]
            rounds.append(msgspec.json.decode(line, type=ManyPeersMeasured))
        progress(Step(text, done=_ROUNDS, total=_ROUNDS, unit="rounds"))
    return _summed(rounds)


def _summed(rounds: list[ManyPeersMeasured]) -> ManyPeers:
    median = _medians(rounds)
    first, again = median(lambda one: one.first), median(lambda one: one.again)
    floor = median(lambda one: one.floor_first)
    changes = [change for one in rounds for change in one.changes]
    return ManyPeers(
        first_s=round(first, 3),
        again_s=round(again, 3),
        first_floor_s=round(floor, 3),
        first_ratio=round(first / floor, 3),
        again_ratio=round(again / floor, 3),
        change=compare(changes, [change for one in rounds for change in one.floor_changes]),
        written_per_change=sum(one.written for one in rounds) / len(changes),
        peers=rounds[0].peers,
        routes=rounds[0].routes,
    )


def _medians(
    rounds: list[ManyPeersMeasured],
) -> Callable[[Callable[[ManyPeersMeasured], float]], float]:
    return lambda of: statistics.median(map(of, rounds))
