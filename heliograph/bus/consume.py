"""Reads a stream as a table is read: all that is there, then every change; again on any doubt.

Nothing is acknowledged and nothing remembered: a doubt ends the consumer, and a new one replays
the last message of every subject. That costs about a second per 100,000 messages, and there is
only one way back to the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from typing import Any, Final

from heliograph.backoff import Backoff
from heliograph.bus.connection import Connection
from heliograph.bus.cursor import Cursor
from heliograph.bus.errors import Disconnected
from heliograph.bus.events import (
    BusEvent,
    ConnectionEvent,
    ConsumerSettings,
    Interrupted,
    Lost,
    Restored,
    SnapshotBegun,
)
from heliograph.bus.jetstream import create_consumer, nanoseconds
from heliograph.bus.streams import stream_info
from heliograph.errors import HeliographError, RetryableError

_FORGOTTEN_AFTER_S: Final = 60.0  # the server's patience with a consumer that nobody reads
_PATIENCE_HEARTBEATS: Final = 2  # one more and it is a doubt
_MAX_PATIENCE_DOUBLINGS: Final = 3  # a server that needs seconds to start a replay is left to it
_LOST: Final = "connection lost"
_RETRY: Final = Backoff(initial_s=0.1, limit_s=1.0)
_REFUSED: Final = Backoff(initial_s=0.5, limit_s=5.0)


class Consumer:
    """Reads one stream, for one reader of `events`."""

    def __init__(self, connection: Connection, settings: ConsumerSettings) -> None:
        self._connection, self._settings = connection, settings
        self._cursor: Cursor | None = None
        self._name = ""
        self._restored = asyncio.Event()
        self._failures = 0
        self._heard_at_s: float | None = None

    @property
    def pending(self) -> int | None:
        """How many messages are to be read still; None while nothing is read."""
        return self._cursor.pending if self._cursor is not None else None

    @property
    def heard_at_s(self) -> float | None:
        """When the stream gave a sign of life last, on the loop's clock; None if it never has."""
        heard_at_s = self._cursor.heard_at_s if self._cursor is not None else None
        return self._heard_at_s if heard_at_s is None else heard_at_s

    def resync(self, reason: str) -> None:
        """Replay all, because the reader has a doubt of its own."""
        if self._cursor is not None:
            self._cursor.fail(reason)

    async def events(self) -> AsyncGenerator[BusEvent, None]:
        """Yield what the stream holds and every change, for ever; raises nothing of the bus.

        `SnapshotBegun`, deliveries, `SnapshotComplete`, live deliveries, until `Interrupted`;
        then all over. While no replay can begin (no stream, no permission, no server), each new
        reason is one more `Interrupted`. A slow reader slows the server down, not the memory up.
        Close it (`contextlib.aclosing`) to give the consumer back at once.
        """
        stop_observing = self._connection.observe(self._on_connection)
        told = ""
        try:
            while True:
                try:
                    cursor, stream_created = await self._open()
                except HeliographError as error:
                    reason = self._reason(error)
                    if reason != told:
                        told = reason
                        yield Interrupted(reason)
                    await self._pause(_RETRY if isinstance(error, RetryableError) else _REFUSED)
                    continue
                yield SnapshotBegun(stream_created)
                while batch := await cursor.next_batch():
                    for event in batch:
                        yield event
                told = cursor.doubt
                yield Interrupted(told)
                await self._close(cursor)
                if self._failures:
                    await self._pause(_RETRY)
        finally:
            stop_observing()
            await self._close(self._cursor)

    async def _open(self) -> tuple[Cursor, str]:
        """Begin a replay; the stream is looked at second, so a new one is never mistaken."""
        await self._connection.wait_connected()
        settings = self._settings
        name = self._name = f"{settings.name_prefix}-{secrets.token_hex(6)}"
        patience = _PATIENCE_HEARTBEATS << min(self._failures, _MAX_PATIENCE_DOUBLINGS)
        cursor = self._cursor = Cursor(self._connection, settings, name, patience)
        try:
            await cursor.open()
            config = _config(name, settings.filter_subjects)
            info = await create_consumer(
                self._connection, settings.stream, config, api=settings.api
            )
            stream = await stream_info(self._connection, settings.stream, api=settings.api)
        except HeliographError:
            await self._close(cursor)
            raise
        cursor.begin(info)
        return cursor, stream.created

    def _reason(self, error: HeliographError) -> str:
        """Return the same words for the same reason, whatever the consumer's name was."""
        return _LOST if isinstance(error, Disconnected) else str(error).replace(self._name, "*")

    async def _close(self, cursor: Cursor | None) -> None:
        if cursor is None:
            return
        self._heard_at_s, self._cursor = self.heard_at_s, None
        await cursor.close()
        self._failures = 0 if cursor.complete else self._failures + 1

    async def _pause(self, backoff: Backoff) -> None:
        """Wait before the next attempt, but not past a reconnection."""
        self._restored.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(backoff.delay_s(self._failures)):
                await self._restored.wait()

    def _on_connection(self, event: ConnectionEvent) -> None:
        if isinstance(event, Restored):
            self._restored.set()
        if isinstance(event, Lost):
            self.resync(_LOST)


def _config(name: str, filter_subjects: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "filter_subjects": list(filter_subjects),
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "replay_policy": "instant",
        "inactive_threshold": nanoseconds(_FORGOTTEN_AFTER_S),
        "num_replicas": 1,
        "mem_storage": True,
    }
