"""What is to be published: the last value per subject, in order, live changes before backlog. Pure.

At most one publication per subject is in flight, and at most `window` of them in all. A newer
value of a subject in flight waits behind it. A publication whose acknowledgement is overdue is
launched again with the same bytes and the same message id, so JetStream stores it once. One that
was refused waits aside until it is retried as a new publication, unless a newer value came.
Bounded by the number of subjects, however long the bus is away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import msgspec


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One message to publish.

    Attributes:
        headers: The caller's; the publisher adds message id, epoch and time to live.
        ttl_s: Whole seconds after which the stream forgets the message; None to keep it.
        live: Goes before all that is not: a change just seen, not a backlog.
    """

    subject: str
    payload: bytes
    headers: Mapping[str, str] = {}
    ttl_s: int | None = None
    live: bool = True


class Flight(msgspec.Struct, frozen=True, kw_only=True):
    """A publication on its way.

    Attributes:
        number: Rises with each publication of this outbox; part of its message id.
        launched_at_s: Time of the latest attempt, on the caller's clock.
        attempts: How often it was launched.
    """

    number: int
    publication: Publication
    launched_at_s: float
    attempts: int = 1


class Outbox:
    """Holds what waits and what flies."""

    def __init__(self, *, window: int = 128) -> None:
        self._window = window
        self._live: OrderedDict[str, Publication] = OrderedDict()
        self._backlog: OrderedDict[str, Publication] = OrderedDict()
        self._flights: OrderedDict[int, Flight] = OrderedDict()  # by time of launch
        self._flying: dict[str, int] = {}
        self._refused: OrderedDict[str, Publication] = OrderedDict()
        self._numbers = 0

    def __len__(self) -> int:
        """Publications that wait, fly, or were refused."""
        queues = self._live, self._backlog, self._refused, self._flights
        return sum(len(queue) for queue in queues)

    @property
    def in_flight(self) -> int:
        """Publications that were launched and not settled."""
        return len(self._flights)

    def offer(self, publication: Publication) -> None:
        """Take a value; it replaces one of its subject that still waits, and takes its place.

        A live value lifts its subject out of the backlog; a backlog value of a subject that
        waits as live goes live too, for it is the newer one.
        """
        subject = publication.subject
        self._refused.pop(subject, None)
        if publication.live:
            self._backlog.pop(subject, None)
        queue = self._live if publication.live or subject in self._live else self._backlog
        queue[subject] = publication

    def launch(self, now_s: float) -> Flight | None:
        """Return the next publication to send, in flight from now on; None if there is none."""
        if len(self._flights) >= self._window:
            return None
        for queue in (self._live, self._backlog):
            for subject in queue:  # skips at most `window` subjects
                if subject not in self._flying:
                    return self._fly(queue.pop(subject), now_s)
        return None

    def launch_now(self, publication: Publication, now_s: float) -> Flight:
        """Put `publication` in flight past all that waits; its subject must not be in flight."""
        subject = publication.subject
        if subject in self._flying:
            raise ValueError(f"{subject} is in flight")
        for queue in (self._live, self._backlog, self._refused):
            queue.pop(subject, None)
        return self._fly(publication, now_s)

    def settle(self, number: int) -> Flight | None:
        """End a flight, whatever came of it; None if it has ended before."""
        flight = self._flights.pop(number, None)
        if flight is not None:
            del self._flying[flight.publication.subject]
        return flight

    def refuse(self, number: int) -> Flight | None:
        """End a flight that was surely not stored; the newest value waits for `retry`."""
        flight = self.settle(number)
        if flight is not None:
            subject = flight.publication.subject
            if subject not in self._live and subject not in self._backlog:
                self._refused[subject] = flight.publication
        return flight

    def retry(self) -> None:
        """Let all that was refused wait for its launch again."""
        while self._refused:
            self.offer(self._refused.popitem(last=False)[1])

    @property
    def refused(self) -> int:
        """Publications that wait for `retry`."""
        return len(self._refused)

    def flight(self, number: int) -> Flight | None:
        """Return a flight; None if it has ended."""
        return self._flights.get(number)

    def flights(self) -> tuple[Flight, ...]:
        """Return what is in flight, by the time of the latest launch."""
        return tuple(self._flights.values())

    def relaunch(self, now_s: float, *, launched_before_s: float) -> tuple[Flight, ...]:
        """Return the flights launched before that time, in order; they count from now again."""
        overdue = []
        for flight in self._flights.values():
            if flight.launched_at_s > launched_before_s:
                break
            overdue.append(flight)
        return tuple(self._again(flight, now_s) for flight in overdue)

    def oldest_launch_s(self) -> float | None:
        """Return when the oldest flight was launched; None if nothing flies."""
        first = next(iter(self._flights.values()), None)
        return None if first is None else first.launched_at_s

    def _fly(self, publication: Publication, now_s: float) -> Flight:
        self._numbers += 1
        flight = Flight(number=self._numbers, publication=publication, launched_at_s=now_s)
        self._flights[flight.number] = flight
        self._flying[publication.subject] = flight.number
        return flight

    def _again(self, flight: Flight, now_s: float) -> Flight:
        again = msgspec.structs.replace(flight, launched_at_s=now_s, attempts=flight.attempts + 1)
        self._flights[flight.number] = again
        self._flights.move_to_end(flight.number)
        return again
