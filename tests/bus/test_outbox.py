"""The outbox, against a model: whatever happens, the last value of every subject gets out."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliograph.bus.outbox import Flight, Outbox, Publication

WINDOW = 3
SUBJECTS = "abcdef"


def publication(subject: str, payload: str = "", *, live: bool = True) -> Publication:
    return Publication(subject=subject, payload=payload.encode(), live=live)


def launched(outbox: Outbox, now_s: float = 0.0) -> list[str]:
    flights = iter(lambda: outbox.launch(now_s), None)
    return [flight.publication.subject for flight in flights]


class Stream(RuleBasedStateMachine):
    """Offers, answers and losses in any order, against what a stream would then hold."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(window=WINDOW)
        self.now_s = 0.0
        self.offered: dict[str, bytes] = {}
        self.stored: dict[str, bytes] = {}
        self.ids: dict[int, bytes] = {}
        self.values = 0

    @rule(subject=st.sampled_from(SUBJECTS), live=st.booleans())
    def offer(self, subject: str, live: bool) -> None:  # noqa: FBT001
        """The owner offers a new value."""
        self.values += 1
        value = publication(subject, str(self.values), live=live)
        self.offered[subject] = value.payload
        self.outbox.offer(value)

    @rule()
    def launch(self) -> None:
        """The publisher launches what it may."""
        flight = self.outbox.launch(self.now_s)
        if flight is not None:
            self.send(flight)

    @precondition(lambda self: self.outbox.in_flight)
    @rule(which=st.integers(min_value=0, max_value=WINDOW - 1), lost=st.booleans())
    def store(self, which: int, lost: bool) -> None:  # noqa: FBT001
        """The stream stores a message; its answer may be lost."""
        flight = self.pick(which)
        self.stored[flight.publication.subject] = flight.publication.payload
        if not lost:
            assert self.outbox.settle(flight.number) == flight

    @precondition(lambda self: self.outbox.in_flight)
    @rule(which=st.integers(min_value=0, max_value=WINDOW - 1))
    def refuse(self, which: int) -> None:
        """The server refuses a message."""
        self.outbox.refuse(self.pick(which).number)

    @rule()
    def retry(self) -> None:
        """What was refused is due again."""
        self.outbox.retry()

    @rule(after_s=st.floats(min_value=0, max_value=3))
    def time_passes(self, after_s: float) -> None:
        """What was not answered for two seconds is launched again."""
        self.now_s += after_s
        for flight in self.outbox.relaunch(self.now_s, launched_before_s=self.now_s - 2):
            assert flight.attempts > 1
            self.send(flight)

    def send(self, flight: Flight) -> None:
        """Equal message ids always carry equal bytes."""
        assert self.ids.setdefault(flight.number, flight.publication.payload) == (
            flight.publication.payload
        )

    def pick(self, which: int) -> Flight:
        """Return some flight."""
        flights = self.outbox.flights()
        return flights[which % len(flights)]

    @invariant()
    def bounded(self) -> None:
        """The window holds, and memory is bounded by the number of subjects."""
        subjects = [flight.publication.subject for flight in self.outbox.flights()]
        assert len(subjects) == len(set(subjects)) == self.outbox.in_flight <= WINDOW
        assert len(self.outbox) <= 2 * len(SUBJECTS)

    def teardown(self) -> None:
        """Once everything is answered, the stream holds the last value of every subject."""
        self.outbox.retry()
        while len(self.outbox):
            flight = self.outbox.launch(self.now_s) or self.outbox.flights()[0]
            self.stored[flight.publication.subject] = flight.publication.payload
            self.outbox.settle(flight.number)
        assert self.stored == self.offered


TestStream = Stream.TestCase
TestStream.__doc__ = "The outbox agrees with a model of the stream, whatever the order of events."


@given(st.lists(st.tuples(st.sampled_from(SUBJECTS), st.booleans()), max_size=30))
def test_live_goes_first_and_first_offered_goes_first(offers: list[tuple[str, bool]]) -> None:
    """Launches come live before backlog, and in the order in which subjects joined their queue."""
    outbox = Outbox(window=100)
    live: list[str] = []
    backlog: list[str] = []
    for subject, is_live in offers:
        outbox.offer(publication(subject, live=is_live))
        if is_live and subject in backlog:
            backlog.remove(subject)
        if subject not in live and subject not in backlog:
            (live if is_live else backlog).append(subject)
    assert launched(outbox) == live + backlog


def test_a_newer_value_waits_behind_the_one_in_flight() -> None:
    """One publication per subject is in flight; the last of the newer ones follows."""
    outbox = Outbox()
    outbox.offer(publication("a", "1"))
    first = outbox.launch(0)
    outbox.offer(publication("a", "2"))
    outbox.offer(publication("a", "3"))
    assert outbox.launch(0) is None
    outbox.settle(first.number)
    assert outbox.launch(0).publication.payload == b"3"


def test_a_refused_value_makes_way_for_a_newer_one() -> None:
    """What was never stored need not be tried again when a newer value waits."""
    outbox = Outbox()
    outbox.offer(publication("a", "1"))
    flight = outbox.launch(0)
    outbox.offer(publication("a", "2"))
    outbox.refuse(flight.number)
    assert (outbox.refused, len(outbox)) == (0, 1)
    assert outbox.launch(0).publication.payload == b"2"


def test_a_refused_value_is_retried_under_a_new_number() -> None:
    """A message id may stand for one publication only, and the refused one is over."""
    outbox = Outbox()
    outbox.offer(publication("a", "1"))
    first = outbox.launch(0)
    outbox.refuse(first.number)
    assert (outbox.launch(0), outbox.refused) == (None, 1)
    outbox.retry()
    assert outbox.launch(0).number > first.number


def test_only_overdue_flights_are_launched_again() -> None:
    """A relaunch counts from its own time, so it is not repeated at once."""
    outbox = Outbox()
    for subject, now_s in (("a", 0.0), ("b", 1.0)):
        outbox.offer(publication(subject))
        outbox.launch(now_s)
    assert [f.publication.subject for f in outbox.relaunch(2.5, launched_before_s=0.5)] == ["a"]
    assert outbox.relaunch(2.6, launched_before_s=0.6) == ()
    assert outbox.oldest_launch_s() == 1.0


@pytest.mark.parametrize("end", [Outbox.settle, Outbox.refuse])
def test_a_flight_ends_once(end: Callable[[Outbox, int], Flight | None]) -> None:
    """A late answer to a flight that has ended changes nothing."""
    outbox = Outbox()
    outbox.offer(publication("a"))
    flight = outbox.launch(0)
    assert end(outbox, flight.number) == flight
    assert end(outbox, flight.number) is None
    assert outbox.flight(flight.number) is None
    assert outbox.oldest_launch_s() is None


def test_launching_now_overtakes_and_replaces_what_waits() -> None:
    """`launch_now` is the newest value of its subject, and no window stops it."""
    outbox = Outbox(window=1)
    for subject in "ab":
        outbox.offer(publication(subject, "old"))
    outbox.launch(0)
    assert outbox.launch_now(publication("b", "new"), 0).publication.payload == b"new"
    assert len(outbox) == outbox.in_flight == 2
    with pytest.raises(ValueError, match="b is in flight"):
        outbox.launch_now(publication("b"), 0)
