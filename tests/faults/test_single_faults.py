"""One fault during a burst of changes: the same end state as without, and nothing deleted."""

from __future__ import annotations

import pytest

from tests.faults.faults import all_faults, everything
from tests.faults.run import one_fault
from tests.faults.stage import Stage
from tests.faults.world import world_on

pytestmark = [pytest.mark.real, pytest.mark.nats]
CLUSTERS = ("east", "west")

FAULTS = (
    "watcher of east stopped",
    "watcher of east killed",
    "reflector of west stopped",
    "reflector of west killed",
    "peerer of west stopped",
    "peerer of west killed",
    "NATS stopped",
    "NATS killed",
    "NATS lost its store",
    "API server of east killed",
    "API server of west killed",
    "API server of west and etcd killed",
)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_during_a_burst_changes_nothing_in_the_end(stage: Stage, name: str) -> None:
    """Mirrors and Peers are exactly as they must be, and none that stayed went meanwhile."""
    async with world_on(stage) as world:
        await one_fault(world, all_faults(stage)[name], seed=1, for_s=0.5)


async def test_everything_killed_at_once_changes_nothing_in_the_end(stage: Stage) -> None:
    """The same when every program, API server and the bus with its store go at one moment."""
    async with world_on(stage) as world:
        await one_fault(world, everything(stage), seed=1, for_s=0.5)
