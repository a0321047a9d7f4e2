"""`make soak`: the random run of the tests, for as long as you like, with three clusters.

Never imported by a test. Ends with a summary and exit code 0, or with what happened and 1.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from heliograph import logs
from heliograph.lab.controlplane import ensure_built
from tests.faults.burst import dice_of
from tests.faults.random_run import RandomRun, Summary
from tests.faults.run import FEW, MANY
from tests.faults.stage import RANGES, running_stage
from tests.faults.world import world_on
from tests.support.planes import running_planes


def main(arguments: Sequence[str]) -> int:
    """Run; return the exit code."""
    given = _parse(arguments)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    logs.configure("error")
    say(f"seed {seed}: to throw the same dice, make soak SEED={seed}")
    folder = Path(tempfile.mkdtemp(prefix="heliograph-soak-"))  # stays if it fails
    try:
        summary = soak(seed, given.minutes * 60, folder)
    except Exception:  # noqa: BLE001 - the last catch of a command
        traceback.print_exc()
        say(f"seed {seed} has failed; all logs are in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    say(f"done: {summary}; nothing was lost, and nothing was written for nothing (seed {seed})")
    return 0


def soak(seed: int, for_s: float, folder: Path) -> Summary:
    """Run on clusters of its own, which end with it; dice say how many buses and exports."""
    shared, most = dice_of(seed, "buses").random() < 0.5, dice_of(seed, "most").choice([FEW, MANY])
    say(f"{'one bus for all clusters' if shared else 'a bus for each'}, {most} exports an actor")
    binary = asyncio.run(ensure_built(lambda step: say(str(step))))
    with (
        running_planes(
            RANGES, binary=binary, folder=lambda name: folder / name, controllers=()
        ) as planes,
        running_stage(planes, folder, shared=shared) as stage,
    ):

        async def run() -> Summary:
            async with world_on(stage) as world:
                return await RandomRun(world, seed, most=most).run(for_s, say)

        return asyncio.run(run())


def say(line: str) -> None:
    """Print a line of progress, with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {line}\n")
    sys.stdout.flush()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Random faults during changes, for a long time.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
