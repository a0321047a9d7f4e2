"""Bounds how often something is done: a few at once, then one by one."""

from __future__ import annotations

import asyncio

import msgspec


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How often.

    Attributes:
        burst: So many at once, after a rest.
        per_s: So many a second in the long run.
    """

    burst: int
    per_s: float


class Pace:
    """Turns at a rate: a bucket of tokens on the running loop's clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at_s: float | None = None

    async def turn(self) -> None:
        """Return when it is time; for one caller at a time."""
        self._refill()
        if self._tokens < 1:
            await asyncio.sleep((1 - self._tokens) / self._rate.per_s)
            self._refill()
        self._tokens = max(0.0, self._tokens - 1)

    def _refill(self) -> None:
        now_s = asyncio.get_running_loop().time()
        passed_s = 0.0 if self._at_s is None else now_s - self._at_s
        self._tokens = min(float(self._rate.burst), self._tokens + passed_s * self._rate.per_s)
        self._at_s = now_s
