"""Which mirrors to look at next: live changes first, each mirror once, failures later.

A key is never handed out twice at the same time; what happens to it meanwhile brings it back.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from heliograph.backoff import Backoff
from services.reflector.table import ServiceKey

_BACKOFF: Final = Backoff(initial_s=0.1, limit_s=30.0)


class Queue:
    """Keys that wait for a worker, in two classes: live changes, and the backlog of a replay."""

    def __init__(self) -> None:
        self._live: dict[ServiceKey, None] = {}
        self._backlog: dict[ServiceKey, None] = {}
        self._in_hand: set[ServiceKey] = set()
        self._failures: dict[ServiceKey, int] = {}
        self._timers: dict[ServiceKey, asyncio.TimerHandle] = {}
        self._available = asyncio.Semaphore(0)  # one for each that waits and is in no hand

    def __len__(self) -> int:
        return len(self._live) + len(self._backlog) + len(self._in_hand)

    @property
    def retrying(self) -> int:
        """How many keys failed and wait for another attempt."""
        return len(self._timers)

    def add(self, key: ServiceKey, *, live: bool) -> None:
        """Let the key be looked at; a failed one at once, since something changed."""
        self._cancel_timer(key)
        waiting = key in self._live or key in self._backlog
        if live:
            self._backlog.pop(key, None)
            self._live[key] = None
        elif key not in self._live:
            self._backlog[key] = None
        if not waiting and key not in self._in_hand:
            self._available.release()

    async def get(self) -> ServiceKey:
        """Return the next key, and keep it in hand until `done` or `failed`."""
        await self._available.acquire()
        waiting = itertools.chain(self._live, self._backlog)
        key = next(key for key in waiting if key not in self._in_hand)
        self._live.pop(key, None)
        self._backlog.pop(key, None)
        self._in_hand.add(key)
        return key

    def done(self, key: ServiceKey) -> None:
        """The key was dealt with."""
        self._failures.pop(key, None)
        self._put_back(key)

    def failed(self, key: ServiceKey, *, after_s: float = 0) -> None:
        """The key needs another attempt: after a delay that grows, or the longer `after_s`."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay_s = max(after_s, _BACKOFF.delay_s(failures))
        if not self._put_back(key):
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(delay_s, self._retry, key)

    def close(self) -> None:
        """Cancel what waits for another attempt."""
        for key in tuple(self._timers):
            self._cancel_timer(key)

    def _put_back(self, key: ServiceKey) -> bool:
        """Take the key out of hand; tell whether it waits again already."""
        self._in_hand.discard(key)
        waits = key in self._live or key in self._backlog
        if waits:
            self._available.release()
        return waits

    def _retry(self, key: ServiceKey) -> None:
        self._timers.pop(key, None)
        self.add(key, live=False)

    def _cancel_timer(self, key: ServiceKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
