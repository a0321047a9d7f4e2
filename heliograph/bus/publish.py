"""Publishes what is offered until it is stored: a window in flight, and an outbox behind it.

Answers are matched by the last token of their reply subject. What is not answered in time is sent
again, byte by byte and with its message id, so that nothing is stored twice; what the server
refuses is tried again slowly. Nothing is dropped but what can never be published.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from heliograph.bus.acks import Stored, headers_of
from heliograph.bus.connection import Connection
from heliograph.bus.errors import Disconnected, InvalidPublication
from heliograph.bus.events import ConnectionEvent, Denied, Lost, Restored
from heliograph.bus.landing import Landing
from heliograph.bus.outbox import Flight, Outbox, Publication
from heliograph.bus.request import Message

_ACK_TIMEOUT_S: Final = 2.0  # a healthy server answers in milliseconds, with fsync too


class Publisher:
    """Publishes for one exporting cluster; `run` does the work, everything else only asks.

    Attributes:
        epoch: Number of this incarnation of the exporter, higher than any before it.
    """

    def __init__(
        self,
        connection: Connection,
        epoch: int,
        on_settled: Callable[[Stored], None],
        on_doubt: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            connection: Where to publish.
            epoch: Number of this incarnation of the exporter.
            on_settled: Hears of every publication stored, once.
            on_doubt: Hears why the stream may differ from what was settled; the owner then
                compares, and offers the difference. A lasting reason is told once.
        """
        self.epoch = epoch
        self._connection, self._on_doubt = connection, on_doubt
        self._outbox = Outbox()
        self._landing = Landing(self._outbox, epoch, on_settled, on_doubt)
        self._inbox = connection.new_inbox()
        self._wake, self._listening = asyncio.Event(), asyncio.Event()
        self._arrived: list[Message | ConnectionEvent] = []
        self._barrier, self._quiet, self._reconnected = asyncio.Lock(), False, False

    @property
    def pending(self) -> int:
        """Publications that are not yet stored."""
        return len(self._outbox)

    def offer(self, publication: Publication) -> None:
        """Have it published some time; an older value of its subject that waits is forgotten."""
        self._outbox.offer(publication)
        self._wake.set()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; False when that took too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.pending:
                    await self._landing.next()
        return not self.pending

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Hold all that waits, and enter when nothing is in flight: the stream stands still.

        One caller at a time; only `publish_now` publishes inside. While the bus is away, and
        before `run`, it may take long to enter.
        """
        async with self._barrier:
            await self._listening.wait()
            self._quiet = True
            try:
                while self._outbox.in_flight:
                    await self._landing.next()
                yield
            finally:
                self._quiet = False
                self._wake.set()

    async def publish_now(self, publication: Publication) -> Stored:
        """Publish inside `quiet`, and wait until it is stored, through outages if need be.

        Raises what the server refuses it with (`StreamMissing`, `PermissionDenied`,
        `JetStreamError`), or `InvalidPublication`; it is then not tried again.
        """
        if not self._quiet:
            raise RuntimeError("publish_now() belongs inside quiet()")
        flight = self._outbox.launch_now(publication, self._now_s())
        stored = self._landing.awaited(flight)
        await self._send(flight)
        self._wake.set()  # `run` must know when the answer is overdue
        return await stored

    async def run(self) -> None:
        """Publish for ever; what the owner's callbacks raise ends it."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._connection.observe(self._arrive))  # first: a refusal may be quick
            subscription = await self._connection.subscribe(self._replies, self._arrive)
            stack.push_async_callback(subscription.unsubscribe)
            stack.callback(self._listening.clear)
            self._listening.set()
            while True:
                self._take_arrived()
                await self._launch()
                await self._rest()

    def _arrive(self, what: Message | ConnectionEvent) -> None:
        self._arrived.append(what)
        self._wake.set()

    @property
    def _replies(self) -> str:
        return f"{self._inbox}.*"

    def _take_arrived(self) -> None:
        arrived, self._arrived = self._arrived, []
        for what in arrived:
            match what:
                case Message():
                    self._landing.take_answer(what)
                case Denied() if what.subject == self._replies.lower():
                    self._landing.take_deafness(self._connection.inboxes)
                case Denied():
                    self._landing.take_denial(what)
                case Restored():
                    self._reconnected = True
                    self._landing.refusals.forget()
                    self._on_doubt("reconnected")
                case Lost():
                    pass  # `Restored` will follow

    async def _launch(self) -> None:
        now_s = self._now_s()
        if self._landing.refusals.due(now_s):
            self._outbox.retry()
        if not self._connection.connected:
            return
        before_s = now_s if self._reconnected else now_s - _ACK_TIMEOUT_S
        self._reconnected = False
        for flight in self._outbox.relaunch(now_s, launched_before_s=before_s):
            await self._send(flight)
        while not self._quiet and not self._landing.refusals.held:
            new = self._outbox.launch(now_s)
            if new is None:
                break
            await self._send(new)

    async def _send(self, flight: Flight) -> None:
        publication, reply = flight.publication, f"{self._inbox}.{flight.number}"
        headers = headers_of(self.epoch, flight)
        try:
            await self._connection.publish(
                publication.subject, publication.payload, headers, reply=reply
            )
        except Disconnected:
            pass  # it is launched again after `Restored`
        except InvalidPublication as error:
            self._landing.give_up(flight, error)

    async def _rest(self) -> None:
        """Wait for an answer or an offer, at most until something is due."""
        times = [self._landing.refusals.retry_at_s]
        if self._connection.connected and (oldest_s := self._outbox.oldest_launch_s()) is not None:
            times.append(oldest_s + _ACK_TIMEOUT_S)
        due_s = min((time for time in times if time is not None), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due_s):
                await self._wake.wait()
        self._wake.clear()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
