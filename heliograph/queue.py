"""Which things to look at next: the urgent ones first, each once, failures later.

A key is never handed out twice at the same time; what happens to it meanwhile brings it back.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from heliograph.backoff import Backoff

K = TypeVar("K", bound=Hashable)

_BACKOFF: Final = Backoff(initial_s=0.1, limit_s=30.0)
_TURNS: Final = 8
"""Every so many keys, one of the least urgent that wait: nobody waits for ever."""


class Urgency(enum.IntEnum):
    """Which keys go first."""

    CHANGE = 0
    """Something just happened to what stands: people use it."""
    NEW = 1
    """A thing was just asked for: nobody can use it yet, and thousands may come at once."""
    BACKLOG = 2
    """A replay or a listing brought it up: mostly nothing is to be done."""


class Queue(Generic[K]):
    """Keys that wait for a worker, by urgency."""

    def __init__(self) -> None:
        self._waiting: dict[Urgency, dict[K, None]] = {u: {} for u in Urgency}
        self._urgency: dict[K, Urgency] = {}
        self._in_hand: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._tickets: asyncio.Queue[None] = asyncio.Queue()  # for all that waits, in no hand
        self._turn = 0

    def __len__(self) -> int:
        return len(self._urgency) + len(self._in_hand)

    @property
    def retrying(self) -> int:
        """How many keys failed and wait for another attempt."""
        return len(self._timers)

    def add(self, key: K, urgency: Urgency) -> None:
        """Let the key be looked at; a failed one at once, since something changed."""
        self._cancel_timer(key)
        before = self._urgency.get(key)
        if before is None or urgency < before:
            self._drop(key)
            self._urgency[key] = urgency
            self._waiting[urgency][key] = None
        if before is None and key not in self._in_hand:
            self._tickets.put_nowait(None)

    async def get(self) -> K:
        """Return the next key, and keep it in hand until `done` or `failed`."""
        await self._tickets.get()
        self._turn = (self._turn + 1) % _TURNS
        order = reversed(Urgency) if self._turn == 0 else Urgency
        key = next(k for u in order for k in self._waiting[u] if k not in self._in_hand)
        self._drop(key)
        self._in_hand.add(key)
        return key

    def done(self, key: K) -> None:
        """The key was dealt with."""
        self._failures.pop(key, None)
        self._put_back(key)

    def failed(self, key: K, *, after_s: float = 0) -> None:
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

    def _put_back(self, key: K) -> bool:
        """Take the key out of hand; tell whether it waits again already."""
        self._in_hand.discard(key)
        waits = key in self._urgency
        if waits:
            self._tickets.put_nowait(None)
        return waits

    def _drop(self, key: K) -> None:
        urgency = self._urgency.pop(key, None)
        if urgency is not None:
            del self._waiting[urgency][key]

    def _retry(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key, Urgency.BACKLOG)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
