"""A pace lets a few through at once, and then so many a second."""

from __future__ import annotations

import asyncio

from heliograph.pace import Pace, Rate
from tests.support.virtual_time import run_virtually


async def turns(pace: Pace, count: int) -> list[float]:
    """Return when each of so many turns came."""
    times = []
    for _ in range(count):
        await pace.turn()
        times.append(round(asyncio.get_running_loop().time(), 6))
    return times


def test_a_burst_and_then_one_by_one() -> None:
    """After a rest the burst is there again, and no more than it."""

    async def main() -> None:
        pace = Pace(Rate(burst=3, per_s=2.0))
        assert await turns(pace, 5) == [0.0, 0.0, 0.0, 0.5, 1.0]
        await asyncio.sleep(3600)
        assert await turns(pace, 5) == [3601.0, 3601.0, 3601.0, 3601.5, 3602.0]

    run_virtually(main())
