"""An event loop whose clock jumps: what waits for hours takes no time, and keeps its order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from typing_extensions import override

R = TypeVar("R")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for nothing, moves the clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now_s += timeout
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing can ever happen")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for pure asyncio: no sockets, no threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now_s


def run_virtually(main: Coroutine[Any, Any, R]) -> R:
    """Run to the end on a clock that begins at 0 s and never waits."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
