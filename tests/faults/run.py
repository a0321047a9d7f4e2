"""Runs of changes and faults: one fault during a burst, and dice that throw many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from tests.faults.burst import Actor, NodeActor, Sharer, dice_of
from tests.faults.faults import Fault
from tests.faults.meddler import Meddler, PeerMeddler
from tests.faults.world import World

FEW: Final = 6
MANY: Final = 50
"""How many exports an actor has at most."""

_ACTORS: Final = 2
"""How many work in each cluster at the same time."""

_NODES: Final = 4
"""How many nodes a cluster has at most, beside the marker."""

_SHARE_FROM: Final = 2
"""Beside two clusters that export one name there must be another that imports it."""


class Burst:
    """All actors of a run; what they do follows from the seed and from nothing else."""

    def __init__(self, world: World, seed: int, *, meddling: bool = False, most: int = FEW) -> None:
        self._actors: list[Actor | NodeActor] = [
            Actor((cluster, n), world.model, writer, dice_of(seed, cluster, n), most)
            for cluster, writer in world.writers.items()
            for n in range(_ACTORS)
        ]
        exporting = list(world.writers.items())[:2] if len(world.writers) > _SHARE_FROM else []
        for cluster, writer in exporting:
            dice = dice_of(seed, cluster, "shared")
            self._actors.append(Sharer((cluster, _ACTORS), world.model, writer, dice, most))
        for cluster, nodes in world.nodes.items():
            self._actors.append(NodeActor(nodes, dice_of(seed, cluster, "nodes"), _NODES))
        self._meddlers: list[Meddler | PeerMeddler] = [
            Meddler(client, world.model, dice_of(seed, cluster, "by hand"), world.history.note)
            for cluster, client in world.clients.items()
            if meddling
        ]
        self._meddlers += [
            PeerMeddler(client, world.nodes, world.peers[cluster], dice_of(seed, cluster, "Peers"))
            for cluster, client in world.clients.items()
            if meddling
        ]

    @property
    def changes(self) -> int:
        """How many changes were made."""
        return sum(actor.changes for actor in self._actors)

    async def begin(self) -> None:
        """Let each make its first exports."""
        await asyncio.gather(*(actor.prepare() for actor in self._actors))
        await asyncio.gather(*(actor.begin() for actor in self._actors))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let them make changes until the body has ended; each brings its last one to its end."""
        over = False
        async with asyncio.TaskGroup() as tasks:
            for actor in self._actors:
                tasks.create_task(actor.run(lambda: not over))
            for meddler in self._meddlers:
                tasks.create_task(meddler.run(lambda: not over))
            try:
                yield
            finally:
                over = True

    async def end(self) -> None:
        """Let each delete its exports."""
        await asyncio.gather(*(actor.end() for actor in self._actors))


async def one_fault(world: World, fault: Fault, seed: int, *, for_s: float) -> None:
    """Let one fault happen in the middle of a burst; then all must be as without it."""
    burst = Burst(world, seed)
    await burst.begin()
    await world.settle()
    async with burst.running():
        await _until(lambda: burst.changes >= 20)
        await world.suffer(fault, for_s)
        enough = burst.changes + 20
        await _until(lambda: burst.changes >= enough)
    await world.settle()
    await burst.end()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - actors count, and tell nobody
        await asyncio.sleep(0.02)
