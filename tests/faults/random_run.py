"""Many faults, as dice say, during changes that never end; with quiet points to compare at."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from typing_extensions import override

from tests.faults.burst import dice_of
from tests.faults.faults import Fault, all_faults, everything
from tests.faults.nothing_changed import restart_over_nothing
from tests.faults.run import FEW, Burst
from tests.faults.world import World

_LANES: Final = 2
"""How many faults happen at the same time, at most."""

_ROUND_S: Final = 8.0
_USUAL_S: Final = 1.0
_LONGEST_S: Final = 8.0
"""Long enough for every heartbeat to be missed."""

_PAUSE_S: Final = 0.7
_EVERYTHING: Final = 0.15
"""How many rounds have everything killed at once, instead of one thing after another."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How a run went, as far as it got."""

    seed: int
    rounds: int
    faults: int
    changes: int
    mirrors: int
    mirror_changes: int
    peer_changes: int
    longest_settling_s: float

    @override
    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, {self.faults} faults, {self.changes} changes, "
            f"{self.mirrors} mirrors now, {self.mirror_changes} changes of them "
            f"and {self.peer_changes} of Peers seen, "
            f"settled within {self.longest_settling_s:.1f} s each time"
        )


class RandomRun:
    """One run; what happens follows from the seed, but for what the machine's pace decides."""

    def __init__(self, world: World, seed: int, *, most: int = FEW) -> None:
        self._world, self._seed = world, seed
        self._burst = Burst(world, seed, meddling=True, most=most)
        self._dice = dice_of(seed, "rounds")
        self._lanes = [dice_of(seed, "lane", n) for n in range(_LANES)]
        self._busy: set[str] = set()
        self._rounds = 0

    @property
    def summary(self) -> Summary:
        """Return how it has gone so far."""
        world = self._world
        return Summary(
            seed=self._seed,
            rounds=self._rounds,
            faults=world.history.faults,
            changes=self._burst.changes,
            mirrors=sum(len(world.model.mirrors(c)) for c in world.stage.clusters),
            mirror_changes=world.mirror_changes,
            peer_changes=world.peer_changes,
            longest_settling_s=world.longest_settling_s,
        )

    async def run(self, for_s: float, say: Callable[[str], None]) -> Summary:
        """Run for so long, and until the last round has settled."""
        end_s = time.monotonic() + for_s
        await self._burst.begin()
        await self._world.settle()
        while (left_s := end_s - time.monotonic()) > 0:
            say(f"{self.summary}; {left_s:.0f} s left")
            async with self._burst.running():
                await self._faults(time.monotonic() + min(_ROUND_S, left_s))
            await self._world.settle()
            await restart_over_nothing(self._world)
            self._rounds += 1
        summary = self.summary
        await self._burst.end()
        return summary

    async def _faults(self, until_s: float) -> None:
        """Make faults until it is time, and wait until all are over."""
        if self._dice.random() < _EVERYTHING:
            await self._world.suffer(everything(self._world.stage), self._dice.random())
            return
        async with asyncio.TaskGroup() as tasks:
            for dice in self._lanes:
                tasks.create_task(self._lane(dice, until_s))

    async def _lane(self, dice: random.Random, until_s: float) -> None:
        while time.monotonic() < until_s:
            fault = dice.choice(self._possible(dice))
            self._busy.add(fault.of)
            await self._world.suffer(fault, min(dice.expovariate(1 / _USUAL_S), _LONGEST_S))
            self._busy.discard(fault.of)
            await asyncio.sleep(dice.uniform(0, _PAUSE_S))

    def _possible(self, dice: random.Random) -> Sequence[Fault]:
        """Return what can happen now to one of the things that are well."""
        by_thing: dict[str, list[Fault]] = {}
        for fault in all_faults(self._world.stage).values():
            if fault.of not in self._busy:
                by_thing.setdefault(fault.of, []).append(fault)
        return by_thing[dice.choice(list(self._weighted(by_thing)))]

    def _weighted(self, things: dict[str, list[Fault]]) -> Iterator[str]:
        """Yield things, programs and the bus more often: API servers need seconds to come back."""
        for thing in things:
            yield from [thing] * (1 if thing.startswith("API server") else 3)
