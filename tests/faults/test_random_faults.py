"""Faults of all kinds, in any order and at the same time, during changes that never end."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.random_run import RandomRun
from tests.faults.stage import Stage
from tests.faults.world import world_on

CLUSTERS = ("east", "west", "north")
SEED = "FAULTS_SEED"
"""Not HELIOGRAPH_...: programs inherit it, and refuse settings that they do not know."""

RUN_S = 60.0


@pytest.mark.real
@pytest.mark.nats
@pytest.mark.timeout(300)
async def test_random_faults_change_nothing_in_the_end(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """At every quiet point mirrors are exactly those of the exports; none that stayed went."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nto throw the same dice: {SEED}={seed}")  # noqa: T201 - also when all is well
    async with world_on(stage) as world:
        world.history.note(f"to throw the same dice: {SEED}={seed}")
        summary = await RandomRun(world, seed).run(RUN_S, world.history.note)

        assert summary.rounds
