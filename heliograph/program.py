"""How a program runs in a process: event loop, signals, exit codes. The last catch of errors.

Exit codes: 0 done, or stopped by a signal after draining; 1 a fault of ours or of the world; 2 bad
input, with one sentence on standard error.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

import structlog
import uvloop

from heliograph.errors import HeliographError, InputError

EXIT_FAULT: Final = 1
EXIT_INPUT: Final = 2
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
_log = structlog.get_logger()


def run(main: Coroutine[Any, Any, int | None]) -> int:
    """Run to the end, or until SIGINT or SIGTERM; return the exit code."""
    gc.set_threshold(50_000, 20, 100)  # tables of many small immutable objects
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_until_signalled(main)) or 0
    except BaseExceptionGroup as group:
        return explain(_first(group))
    except (HeliographError, KeyboardInterrupt) as error:
        return explain(error)


def explain(error: BaseException) -> int:
    """Tell a person what ended the program; return the exit code.

    Raises:
        BaseException: It is a fault of ours: the traceback is for whoever mends it.
    """
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if not isinstance(error, HeliographError):
        raise error
    sys.stderr.write(f"heliograph: {error}\n")
    return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAULT


async def _until_signalled(main: Coroutine[Any, Any, int | None]) -> int | None:
    """Run `main`; a signal cancels it once, and a second one is not waited for."""
    task = asyncio.ensure_future(main)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if stopped:
            sys.exit(EXIT_FAULT)
        stopped = True
        task.cancel()  # first: nobody may be left to read the log
        _log.info("stopping")

    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if stopped:
            return 0
        raise
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most telling error: bad input first, then errors of ours, then whatever came."""
    leaves = _leaves(group)
    for kind in (InputError, HeliographError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
