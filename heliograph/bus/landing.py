"""What becomes of publications in flight: stored, refused, denied or impossible. No I/O.

The owner hears of every publication stored, and of every reason to doubt the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from heliograph.bus.acks import Stored, number_of, read
from heliograph.bus.errors import InvalidPublication, PermissionDenied, StreamMissing
from heliograph.bus.events import Denied
from heliograph.bus.outbox import Flight, Outbox
from heliograph.bus.refusals import Refusals
from heliograph.bus.request import Message
from heliograph.errors import HeliographError


class Landing:
    """Ends flights of `outbox`, and tells whoever wants to know.

    Attributes:
        refusals: What was refused, when to try it again.
    """

    def __init__(
        self,
        outbox: Outbox,
        epoch: int,
        on_settled: Callable[[Stored], None],
        on_doubt: Callable[[str], None],
    ) -> None:
        self.refusals = Refusals()
        self._outbox, self._epoch = outbox, epoch
        self._on_settled, self._on_doubt = on_settled, on_doubt
        self._landed = asyncio.Event()
        self._awaited: dict[int, asyncio.Future[Stored]] = {}
        self._stream, self._highest = "", 0

    def awaited(self, flight: Flight) -> asyncio.Future[Stored]:
        """Return the future outcome of a flight; refused, it will not be tried again."""
        future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._awaited[flight.number] = future
        return future

    async def next(self) -> None:
        """Wait until some flight has ended."""
        self._landed.clear()
        await self._landed.wait()

    def take_answer(self, answer: Message) -> None:
        """Take what JetStream answered; an answer to an earlier attempt may come twice."""
        flight = self._outbox.flight(number_of(answer))
        if flight is None:
            return
        outcome = read(answer, flight, self._epoch)
        if isinstance(outcome, Stored):
            self._settle(flight, outcome)
        elif isinstance(outcome, StreamMissing) and self._stream:
            self._refuse(flight, StreamMissing(self._stream))
        else:
            self._refuse(flight, outcome)

    def take_denial(self, denied: Denied) -> None:
        """Take a denial; it is looked for among the flights, as it names only a subject."""
        for flight in self._outbox.flights():
            if flight.publication.subject.lower() == denied.subject:
                self._refuse(flight, PermissionDenied("publish", flight.publication.subject))

    def take_deafness(self, inboxes: str) -> None:
        """Take the news that answers may not be heard, without which nothing settles."""
        self._tell(self.refusals.tell(str(PermissionDenied("subscription", inboxes)), inboxes))

    def give_up(self, flight: Flight, error: InvalidPublication) -> None:
        """End a flight that can never succeed."""
        self._outbox.settle(flight.number)
        self._tell(str(error))
        if waiter := self._land(flight):
            waiter.set_exception(error)

    def _settle(self, flight: Flight, stored: Stored) -> None:
        self._outbox.settle(flight.number)
        self.refusals.stored(stored.publication.subject)
        if waiter := self._land(flight):
            waiter.set_result(stored)
        self._on_settled(stored)
        if not stored.duplicate:
            before, self._highest, self._stream = self._highest, stored.sequence, stored.stream
            if stored.sequence <= before:
                self._on_doubt(f"stream {stored.stream} went backwards from {before}")

    def _refuse(self, flight: Flight, error: HeliographError) -> None:
        if flight.number in self._awaited:
            self._outbox.settle(flight.number)
        else:
            self._outbox.refuse(flight.number)
        now_s = asyncio.get_running_loop().time()
        self._tell(self.refusals.note(error, flight.publication.subject, now_s))
        if waiter := self._land(flight):
            waiter.set_exception(error)

    def _land(self, flight: Flight) -> asyncio.Future[Stored] | None:
        """Note that a flight has ended; returns what its caller waits for."""
        self._landed.set()
        waiter = self._awaited.pop(flight.number, None)
        return None if waiter is None or waiter.done() else waiter

    def _tell(self, doubt: str | None) -> None:
        if doubt is not None:
            self._on_doubt(doubt)
