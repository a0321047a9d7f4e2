"""Tells whether a program's work goes on: a task among its own that does nothing but beat.

Whatever ends the program's group of tasks, ends the beat first. So a program that hangs while it
ends is known to be dead, and one that waits for its bus or its API server is known to be alive.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

LIMIT_S: Final = 30.0
"""Longer than any pause that a busy machine makes; the probes allow three failures beyond."""

_PERIOD_S: Final = 1.0


class Pulse:
    """The pulse of one program."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._beat_at_s: float | None = None

    async def run(self) -> None:
        """Beat, for ever; run it in the task group that the program's work is in."""
        while True:
            self._beat_at_s = time.monotonic()
            await asyncio.sleep(_PERIOD_S)

    def silent_s(self) -> float:
        """Return for how long it has not beaten; 0 before the first beat: nothing is wrong yet."""
        return 0.0 if self._beat_at_s is None else time.monotonic() - self._beat_at_s

    @property
    def fails(self) -> str:
        """Why the program is dead, in words; empty while it lives."""
        if (silent_s := self.silent_s()) <= self._limit_s:
            return ""
        return f"its main task has ended or hangs: no sign of it for {silent_s:.0f} s"
