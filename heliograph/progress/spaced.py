"""Lets through only as many steps as a log or a person who scrolls can bear."""

from __future__ import annotations

import time
from collections.abc import Callable

from heliograph.progress.step import Progress, Step


class Spaced:
    """A `Progress` that tells another one of it: each new text and each end at once, counts rarely.

    Args:
        progress: Whom to tell.
        every_s: How long to be silent between two counts of the same work.
        clock: Seconds that only grow.
    """

    def __init__(
        self, progress: Progress, every_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress, self._every_s, self._clock = progress, every_s, clock
        self._told: Step | None = None
        self._told_at = clock()

    def __call__(self, step: Step) -> None:
        """Tell of a step if it is new, complete, or the last one is long ago."""
        if step == self._told:
            return
        now = self._clock()
        same = self._told is not None and step.text == self._told.text
        if same and not step.complete and now - self._told_at < self._every_s:
            return
        self._told, self._told_at = step, now
        self._progress(step)
