"""What goes wrong on purpose, and the count of what was asked: the server's side of a test."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from heliograph.lab.memory.status import StatusError

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class WriteFailure(msgspec.Struct, frozen=True, kw_only=True):
    """How a write is refused: a status and, perhaps, when to come back."""

    status: int = 503
    reason: str = "ServiceUnavailable"
    retry_after_s: int | None = None

    def error(self) -> StatusError:
        """Return the refusal that goes over the wire."""
        message = "this write was refused on purpose, by a test"
        return StatusError(self.status, self.reason, message, retry_after_s=self.retry_after_s)


class Faults:
    """Faults in force, and the requests counted by verb and plural."""

    def __init__(self) -> None:
        self.latency_s = 0.0
        self.requests: Counter[tuple[str, str]] = Counter()
        self._failures: list[WriteFailure] = []
        self._running = asyncio.Event()
        self._running.set()

    @property
    def writes(self) -> int:
        """Return how many writes were asked for, refused ones included."""
        return sum(n for (verb, _), n in self.requests.items() if verb in WRITES)

    def fail_writes(self, count: int, failure: WriteFailure) -> None:
        """Refuse the next `count` writes."""
        self._failures.extend([failure] * count)

    def pause(self) -> None:
        """Accept connections and requests, but answer none."""
        self._running.clear()

    def resume(self) -> None:
        """Answer again, beginning with what waited."""
        self._running.set()

    async def delay(self) -> None:
        """Wait as long as a request has to."""
        await self._running.wait()
        if self.latency_s:
            await asyncio.sleep(self.latency_s)

    def note(self, verb: str, plural: str) -> None:
        """Count a request; raises `StatusError` when it is a write that is to fail."""
        self.requests[verb, plural] += 1
        if verb in WRITES and self._failures:
            raise self._failures.pop(0).error()
