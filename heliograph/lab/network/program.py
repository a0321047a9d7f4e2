"""A program that runs inside a host, as a child of this process would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from heliograph.lab.entered import program_of
from heliograph.process import Child

_POLL_S: Final = 0.02


class Program(Child):
    """A child behind nsenter(1): its process id and its signals are the program's own.

    It can be stopped, killed, paused, resumed and started again as any `Child`; all of that is
    short but `stop`, which waits until the program has ended. It ends with its host, too.
    """

    @property
    @override
    def pid(self) -> int | None:
        """The program's process id as this process sees it; None if there is none."""
        nsenter = super().pid
        return None if nsenter is None else program_of(nsenter)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> None:
        """Wait until a condition holds, which may take its time to tell.

        Raises:
            ProcessFailed: The program ended first, or time ran out; quotes its log.
        """
        name, deadline_s = self.settings.name, time.monotonic() + within_s
        while not await asyncio.to_thread(condition):
            if not self.running:
                raise self._failed(f"{name} ended before it was ready")
            if time.monotonic() > deadline_s:
                raise self._failed(f"{name} was not ready within {within_s:g} s")
            await asyncio.sleep(_POLL_S)

    @override
    def _signal(self, number: signal.Signals) -> None:
        program = self.pid
        if program is None or number in {signal.SIGCONT, signal.SIGKILL}:
            # nsenter stands still while its program does, and must go on to see its end.
            super()._signal(number if program is None else signal.SIGCONT)
        if program is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(program, number)
