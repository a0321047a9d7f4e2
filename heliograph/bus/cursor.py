"""One ephemeral pull consumer, from its creation to the first doubt.

Deliveries come in by callback and wait in a list; the reader takes the whole list at a time, so
nothing is awaited per message. Messages are asked for ahead of need, but never more than the
reader has room for. Time passes only while the reader waits: a busy reader raises no doubts.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec

from heliograph.bus.connection import Connection, Subscription
from heliograph.bus.errors import Disconnected
from heliograph.bus.events import BusEvent, ConsumerSettings, Delivery, SnapshotComplete
from heliograph.bus.jetstream import ConsumerInfo, delete_subject, nanoseconds, next_subject
from heliograph.bus.request import Message
from heliograph.bus.sequence import PREFIX, SequenceChecker, parse

_EXPIRES_S: Final = 30.0  # of a pull; the next one is sent a little earlier, so none is missing
_RENEWED_BEFORE_S: Final = 2.0
_MIN_PULL_BYTES: Final = 8 << 20
_HEARTBEAT, _NO_MESSAGES, _EXPIRED = "100", "404", "408"
_PULL_ENDED: Final = ("Message Size Exceeds MaxBytes", "Batch Completed")
_SIGNS_OF_REST: Final = 2  # heartbeats without a delivery between, then nothing is pending


class Cursor:
    """Reads one consumer in order.

    Attributes:
        doubt: Why what was read may be incomplete; empty while all is well, final once set.
        complete: Whether the snapshot was delivered whole.
        heard_at_s: When the server gave a sign of life last, on the loop's clock; None before.
    """

    def __init__(
        self, connection: Connection, settings: ConsumerSettings, name: str, patience: int
    ) -> None:
        self.doubt = ""
        self.complete = False
        self.heard_at_s: float | None = None
        self._connection, self._settings, self._name = connection, settings, name
        self._patience = patience
        self._inbox = connection.new_inbox()
        self._subscription: Subscription | None = None
        self._wake = asyncio.Event()
        self._sequence = SequenceChecker()
        self._waiting: list[BusEvent] = []
        self._asked = self._in_stream = 0
        self._renew_at_s = 0.0
        self._silent = self._resting = 0

    @property
    def pending(self) -> int:
        """How many messages are to be read still, as far as the server has said."""
        return self._in_stream + len(self._waiting)

    async def open(self) -> None:
        """Listen; before the consumer is created, so that nothing can be missed."""
        self._subscription = await self._connection.subscribe(self._inbox, self._take)

    async def close(self) -> None:
        """Stop listening, and let the server forget the consumer; it would by itself, later."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        subject = delete_subject(self._settings.stream, self._name, api=self._settings.api)
        with contextlib.suppress(Disconnected):
            await self._connection.publish(subject, reply=self._inbox)

    def fail(self, doubt: str) -> None:
        """Raise a doubt; the first one counts."""
        self.doubt = self.doubt or doubt
        self._wake.set()

    def begin(self, info: ConsumerInfo) -> None:
        """Start from the consumer just created."""
        self._in_stream = info.num_pending
        self.heard_at_s = asyncio.get_running_loop().time()
        if not info.num_pending:
            self._complete()

    async def next_batch(self) -> list[BusEvent]:
        """Wait for events and return all there are; an empty list after a doubt."""
        await self._ask(held=len(self._waiting))
        while not self._waiting and not self.doubt:
            await self._wait()
            await self._ask(held=len(self._waiting))
        batch, self._waiting = self._waiting, []
        return batch

    async def _ask(self, *, held: int) -> None:
        """Send a pull if the last ones run low or out of time, and there is room for its batch."""
        batch, now_s = self._settings.batch, asyncio.get_running_loop().time()
        wanted = self._asked <= batch // 2 or now_s >= self._renew_at_s
        if self.doubt or not wanted or held + self._asked > 2 * batch:
            return
        subject = next_subject(self._settings.stream, self._name, api=self._settings.api)
        try:
            await self._connection.publish(subject, self._pull(), reply=self._inbox)
        except Disconnected:
            self.fail("connection lost")
        self._asked += batch
        self._renew_at_s = now_s + _EXPIRES_S - _RENEWED_BEFORE_S

    def _pull(self) -> bytes:
        body = {
            "batch": self._settings.batch,
            "max_bytes": max(_MIN_PULL_BYTES, 2 * self._connection.max_payload_bytes),
            "expires": nanoseconds(_EXPIRES_S),
            "idle_heartbeat": nanoseconds(self._settings.heartbeat_s),
        }
        return msgspec.json.encode(body)

    async def _wait(self) -> None:
        """Wait for a sign of life, one heartbeat long; ticks are counted, so a late one is one."""
        try:
            async with asyncio.timeout(self._settings.heartbeat_s):
                await self._wake.wait()
        except TimeoutError:
            self._silent += 1
            if self._silent > self._patience:
                self.fail(f"no heartbeat for {self._silent * self._settings.heartbeat_s:.1f} s")
        self._wake.clear()

    def _take(self, message: Message) -> None:
        if self.doubt:
            return
        self._silent = 0
        self.heard_at_s = asyncio.get_running_loop().time()
        try:
            if message.reply.startswith(PREFIX):
                self._take_delivery(message)
            else:
                self._take_status(message)
        except ValueError as error:  # `MalformedAck` is one
            self.fail(f"malformed message: {error}")

    def _take_delivery(self, message: Message) -> None:
        facts = parse(message.reply)
        doubt = self._sequence.doubt(facts)
        if doubt is None and len(self._waiting) > 3 * self._settings.batch:
            doubt = "more was delivered than asked for"
        if doubt is not None:
            self.fail(doubt)
            return
        self._asked -= 1
        self._resting = 0
        self._in_stream = facts.pending
        self._waiting.append(
            Delivery(
                subject=message.subject,
                headers=message.headers,
                payload=message.payload,
                stream_sequence=facts.stream_sequence,
                stored_at_ns=facts.timestamp_ns,
                in_snapshot=not self.complete,
            )
        )
        if not facts.pending and not self.complete:
            self._complete()
        self._wake.set()

    def _take_status(self, message: Message) -> None:
        status, words = message.status, message.headers.get("Description", "")
        if status == _HEARTBEAT:
            self._take_heartbeat(int(message.headers.get("Nats-Last-Consumer", "")))
        elif status in (_NO_MESSAGES, _EXPIRED) or words in _PULL_ENDED:
            self._asked -= int(message.headers.get("Nats-Pending-Messages", 0))
            self._wake.set()
        else:
            self.fail(f"the consumer is gone ({status} {words.strip()})")

    def _take_heartbeat(self, delivered: int) -> None:
        """Compare what was sent with what came; at rest nothing can be pending any more."""
        if delivered > self._sequence.consumer_sequence:
            self.fail(f"delivery {delivered} never came")
        self._resting += 1
        if not self.complete and self._resting >= _SIGNS_OF_REST:
            self._complete()  # the last message of the replay expired before its delivery

    def _complete(self) -> None:
        self.complete = True
        self._waiting.append(SnapshotComplete())
        self._wake.set()
