"""How the latest changes of exported Services travelled: bounded, and gone with the watcher. Pure.

What importing clusters say comes from outside: it is bounded in length and count.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

import msgspec

from heliograph.contract.feedback import MOST_STEPS, Feedback, Step
from heliograph.contract.names import ClusterId
from heliograph.contract.traces import Answer, Change
from services.watcher.table import ServiceKey

_CHANGES: Final = 8
_SERVICES: Final = 500
_ANSWERS: Final = 10_000
"""Of all changes together: about ten megabytes at most."""

_IMPORTING: Final = 100
_WORD, _SENTENCE = 64, 500


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """A publication as it leaves.

    Attributes:
        event_id: `ce-id` of the message.
        type: Such as "service.exported.v1".
        name: Of the Service, or of the EndpointSlice.
        seen_at: When the watch line was read, RFC 3339 in UTC.
        seen_s: The same by a clock that never goes back, as all times below.
        sent_s: When it leaves.
        trace_id: Of its trace; empty if there is none.
    """

    event_id: str
    type: str
    name: str
    seen_at: str
    seen_s: float
    sent_s: float
    trace_id: str = ""


class _Journey:
    """What became of one publication."""

    __slots__ = ("answers", "departure", "stored_s")

    def __init__(self, departure: Departure) -> None:
        self.departure = departure
        self.stored_s: float | None = None
        self.answers: dict[ClusterId, Answer] = {}

    def told(self) -> Change:
        """Return it as people are told."""
        left = self.departure
        return Change(
            event_id=left.event_id,
            type=left.type,
            name=left.name,
            seen_at=left.seen_at,
            sent_s=_since(left.seen_s, left.sent_s),
            stored_s=None if self.stored_s is None else _since(left.seen_s, self.stored_s),
            trace_id=left.trace_id,
            answers=tuple(self.answers.values()),
        )


class Trail:
    """The latest changes of the Services that changed lately."""

    def __init__(self) -> None:
        self._services: OrderedDict[ServiceKey, deque[_Journey]] = OrderedDict()
        self._by_event: dict[str, _Journey] = {}
        self._answers = 0

    def sent(self, key: ServiceKey, departure: Departure) -> None:
        """Take that a publication about a Service leaves."""
        journeys = self._services.setdefault(key, deque())
        self._services.move_to_end(key)
        journey = self._by_event[departure.event_id] = _Journey(departure)
        journeys.append(journey)
        if len(journeys) > _CHANGES:
            self._forget(journeys.popleft())
        if len(self._services) > _SERVICES:
            self._forget_oldest()

    def stored(self, event_id: str, *, now_s: float) -> None:
        """Take that the bus has it."""
        journey = self._by_event.get(event_id)
        if journey is not None:
            journey.stored_s = now_s

    def answered(self, importing: ClusterId, said: Feedback, *, now_s: float) -> None:
        """Take what an importing cluster says of it; only its latest word counts."""
        journey = self._by_event.get(said.event_id)
        if journey is None or len(journey.answers) >= _IMPORTING:
            return
        self._answers += importing not in journey.answers
        journey.answers[importing] = Answer(
            importing=importing,
            outcome=said.outcome,
            heard_s=_since(journey.departure.seen_s, now_s),
            seconds=round(said.seconds, 6),
            steps=tuple(map(_bounded, said.steps[-MOST_STEPS:])),
            reason=said.reason[:_WORD],
            message=said.message[:_SENTENCE],
        )
        while self._answers > _ANSWERS:
            self._forget_oldest()

    def of(self, key: ServiceKey) -> tuple[Change, ...]:
        """Return a Service's latest changes, the newest last."""
        return tuple(journey.told() for journey in self._services.get(key, ()))

    def _forget_oldest(self) -> None:
        _, journeys = self._services.popitem(last=False)
        for journey in journeys:
            self._forget(journey)

    def _forget(self, journey: _Journey) -> None:
        self._answers -= len(journey.answers)
        del self._by_event[journey.departure.event_id]


def _bounded(step: Step) -> Step:
    return (
        step if len(step.name) <= _WORD else msgspec.structs.replace(step, name=step.name[:_WORD])
    )


def _since(seen_s: float, at_s: float) -> float:
    return round(at_s - seen_s, 6)
