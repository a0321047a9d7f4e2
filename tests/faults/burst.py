"""A burst of changes: actors that each work on exports of their own, as their dice say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from typing_extensions import override

from tests.faults.model import Export, Mode, Model
from tests.faults.nodes import ClusterNodes
from tests.faults.writer import Writer

_SHARED: Final = 3
_PAUSE_S: Final = 0.2
_FIRST_NODE: Final = 2
"""The one before it is the marker."""

_MODES: Final[tuple[Mode, ...]] = ("cluster-ip", "pods")


def dice_of(*what: object) -> random.Random:
    """Return dice that always fall the same way for the same words."""
    return random.Random(" ".join(map(str, what)))  # noqa: S311 - nothing secret


class Actor:
    """Changes a few exports of one cluster, one change after another.

    Attributes:
        changes: How many it has made.
    """

    def __init__(
        self, name: tuple[str, int], model: Model, writer: Writer, dice: random.Random, most: int
    ) -> None:
        """Prepare an actor of (cluster, number) with so many exports at most."""
        self._cluster, self._number = name
        self._model, self._writer, self._dice = model, writer, dice
        self._most, self._made = most, 0
        self._exports: list[Export] = []
        self.changes = 0

    async def prepare(self) -> None:
        """Do what must be done before any actor begins."""

    async def begin(self) -> None:
        """Make some exports."""
        for _ in range(self._most // 2):
            await self._create()

    async def run(self, go_on: Callable[[], bool]) -> None:
        """Make changes while `go_on()` says so."""
        while go_on():
            await self._choose()
            self.changes += 1
            await asyncio.sleep(self._dice.uniform(0, _PAUSE_S))

    async def end(self) -> None:
        """Delete all of its exports."""
        for export in self._exports:
            await self._writer.delete(export)

    async def _choose(self) -> None:
        dice = self._dice
        if len(self._exports) < self._most and dice.random() < 0.2:
            await self._create()
            return
        export = dice.choice(self._exports)
        await dice.choice([*self._possible(export)])(export)

    def _possible(self, export: Export) -> Iterable[Callable[[Export], Awaitable[None]]]:
        """Return what can be done with an export; what is more frequent is there more often."""
        if not export.exists:
            return (self._create_again,)
        return (
            *(self._change_port, self._change_readiness) * 3,
            *(self._change_backends, self._change_label) * 2,
            *(self._change_mode, self._writer.delete),
        )

    async def _create(self) -> None:
        self._made += 1
        name = f"{self._cluster}-{self._number}-{self._made}"
        export = self._model.add(Export(cluster=self._cluster, name=name))
        self._exports.append(export)
        await self._create_again(export)

    async def _create_again(self, export: Export) -> None:
        export.mode = self._dice.choice(_MODES)
        export.port = self._port()
        export.backends = self._backends()
        export.labelled = True
        await self._writer.create(export)

    async def _change_port(self, export: Export) -> None:
        await self._writer.set_port(export, self._port())

    async def _change_readiness(self, export: Export) -> None:
        backends = {a: self._dice.random() < 0.7 for a in export.backends}
        await self._writer.set_backends(export, backends)

    async def _change_backends(self, export: Export) -> None:
        await self._writer.set_backends(export, self._backends())

    async def _change_label(self, export: Export) -> None:
        await self._writer.label(export, on=not export.labelled)

    async def _change_mode(self, export: Export) -> None:
        mode = _MODES[1 - _MODES.index(export.mode)]
        await self._writer.set_mode(export, mode)

    def _port(self) -> int:
        return self._dice.randrange(1, 60_000)

    def _backends(self) -> dict[str, bool]:
        network = {"east": 244, "west": 245, "north": 246}[self._cluster]
        hosts = self._dice.sample(range(1, 200), self._dice.randint(1, 4))
        return {f"10.{network}.{self._number}.{host}": True for host in hosts}


class Sharer(Actor):
    """Works on exports whose names other clusters export as well; it never deletes one.

    They are made without label: a mirror of another cluster's would take the name otherwise.
    """

    @override
    async def prepare(self) -> None:
        for number in range(_SHARED):
            export = Export(cluster=self._cluster, name=f"shared-{number}", labelled=False)
            self._exports.append(self._model.add(export))
            export.backends = self._backends()
            await self._writer.create(export)

    @override
    async def begin(self) -> None:
        for export in self._exports:
            await self._writer.label(export, on=True)

    @override
    async def _choose(self) -> None:
        export = self._dice.choice(self._exports)
        await self._dice.choice([*self._possible(export)])(export)

    @override
    def _possible(self, export: Export) -> Iterable[Callable[[Export], Awaitable[None]]]:
        return (
            self._change_readiness,
            self._change_backends,
            self._change_label,
            self._change_mode,
        )


class NodeActor:
    """Works on the nodes of one cluster.

    Attributes:
        changes: How many it has made.
    """

    def __init__(self, nodes: ClusterNodes, dice: random.Random, most: int) -> None:
        """Prepare an actor for so many nodes at most, beside the marker."""
        self._nodes, self._dice, self._most = nodes, dice, most
        self.changes = 0

    async def prepare(self) -> None:
        """Do what must be done before any actor begins."""

    async def begin(self) -> None:
        """Add some nodes."""
        for number in range(self._most // 2):
            await self._nodes.add(number + _FIRST_NODE)

    async def run(self, go_on: Callable[[], bool]) -> None:
        """Make changes while `go_on()` says so."""
        while go_on():
            await self._choose()
            self.changes += 1
            await asyncio.sleep(self._dice.uniform(0, 2 * _PAUSE_S))

    async def end(self) -> None:
        """Delete all of its nodes."""
        for name in (*self._nodes.running, *self._nodes.still):
            await self._nodes.remove(name)

    async def _choose(self) -> None:
        nodes, dice = self._nodes, self._dice
        there = {*nodes.running, *nodes.still}
        free = [n for n in range(_FIRST_NODE, self._most + _FIRST_NODE) if f"n{n}" not in there]
        if free and (not there or dice.random() < 0.2):
            await nodes.add(dice.choice(free))
            return
        name = dice.choice(sorted(there))
        await dice.choice([*self._possible(name)])(name)

    def _possible(self, name: str) -> Iterable[Callable[[str], Awaitable[None]]]:
        nodes = self._nodes
        if name in nodes.still:
            return (nodes.start, nodes.start, nodes.start, nodes.remove)
        return (
            *(nodes.change_key, self._change_endpoint, nodes.rollout) * 2,
            *(nodes.fall_silent, nodes.remove),
        )

    async def _change_endpoint(self, name: str) -> None:
        host = self._nodes.kilo.node(name).endpoint.partition(":")[0]
        await self._nodes.change(name, endpoint=f"{host}:{self._dice.randrange(1, 60_000)}")
