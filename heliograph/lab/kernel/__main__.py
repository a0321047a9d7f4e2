"""`python -m heliograph.lab.kernel COMMAND...`: runs it under a kernel that has WireGuard."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from heliograph.errors import HeliographError
from heliograph.lab.kernel.boot import run_under_wireguard

UNAVAILABLE: Final = os.EX_UNAVAILABLE
"""Exit code where nothing was run (69, sysexits.h): no test has failed."""


def main() -> int:
    """Run the command of the command line; return its exit code, or 69 with a sentence why."""
    command = sys.argv[1:]
    if not command:
        _say("Name a command: python -m heliograph.lab.kernel COMMAND...")
        return 2
    try:
        return asyncio.run(_run(command))
    except HeliographError as error:
        _say(str(error))
        return UNAVAILABLE
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except TimeoutError:
        _say("The kernel under QEMU was stopped: its command took longer than half an hour.")
        return 1


async def _run(command: Sequence[str]) -> int:
    """Run it; a SIGTERM ends the guest too, which is in a session of its own."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run_under_wireguard(command, _say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
