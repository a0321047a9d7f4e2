"""A restart of everything over mirrors and Peers that are as they should be: nothing is written."""

from __future__ import annotations

from tests.end_to_end.support import holds
from tests.faults.faults import everything
from tests.faults.world import World

_WRITES_OF_A_MARK = 2
"""Service and slice."""


async def restart_over_nothing(world: World) -> None:
    """Restart every program, and the bus without its store; then nothing may have been written.

    The world must be settled, and nobody may change anything. That the programs have done their
    work is known by the markers: what came of them is counted, and nothing else may have come.
    """
    before = await world.versions()
    await world.suffer(everything(world.stage, api_servers=False), 0)
    await world.all_ready()
    await world.settle()

    async def same() -> bool:
        return await world.versions() == before

    assert await holds(same), changed(before, await world.versions())
    marks = len(world.stage.clusters) - 1
    for reflector in world.stage.reflectors.values():
        writes = await reflector.api_writes(world.session)
        assert writes == marks * _WRITES_OF_A_MARK, f"{reflector.name} wrote {writes} times"
    for peerer in world.stage.peerers.values():
        writes = await peerer.api_writes(world.session)
        assert writes == marks, f"{peerer.name} wrote {writes} times"


def changed(before: dict[str, str], after: dict[str, str]) -> str:
    """Say what is not as it was."""
    names = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
    return f"written although nothing changed: {', '.join(names) or 'for a moment, something'}"
