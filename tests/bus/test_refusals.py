"""Refusals are tried again in rounds, and told once."""

from heliograph.bus.errors import JetStreamError, StreamMissing
from heliograph.bus.refusals import Refusals

GONE = StreamMissing("S")
NO = JetStreamError("publishing to a", 1, "no")


def test_a_round_of_refusals_makes_one_delay() -> None:
    """However many are refused at once, the next round comes soon; later ones come later."""
    refusals = Refusals()
    waits = []
    for _ in range(6):
        for subject in "abc":
            refusals.note(NO, subject, 100.0)
        waits.append(refusals.retry_at_s - 100.0)
        assert not refusals.due(100.0 + waits[-1] - 0.001)
        assert refusals.due(100.0 + waits[-1])
    assert 0.5 <= waits[0] <= 1
    assert 8 <= waits[-1] <= 30


def test_a_missing_stream_holds_all_and_is_tried_every_second() -> None:
    """There is no point in sending anything; but when the stream is there, that shows soon."""
    refusals = Refusals()
    for _ in range(20):
        refusals.note(GONE, "a", 5.0)
        assert refusals.held
        assert refusals.retry_at_s <= 6.0
        assert refusals.due(6.0)
        assert not refusals.held


def test_other_refusals_hold_nothing() -> None:
    """One subject's trouble is not the next one's."""
    refusals = Refusals()
    refusals.note(NO, "a", 0.0)
    assert not refusals.held


def test_reasons_are_told_once_until_something_is_stored() -> None:
    """A missing stream is told once for all subjects, another refusal once for each."""
    refusals = Refusals()
    assert refusals.note(NO, "a", 0.0) == str(NO)
    assert refusals.note(NO, "a", 0.0) is None
    assert refusals.note(NO, "b", 0.0) == str(NO)
    assert refusals.note(GONE, "a", 0.0) == "stream S does not exist"
    assert refusals.note(StreamMissing("", subject="b"), "b", 0.0) is None
    refusals.stored("b")
    assert refusals.note(NO, "a", 0.0) is None
    assert refusals.note(NO, "b", 0.0) == str(NO)
    assert refusals.note(GONE, "a", 0.0) == "stream S does not exist"


def test_the_stream_is_back() -> None:
    """The first message stored lets all the others go at once."""
    refusals = Refusals()
    refusals.note(GONE, "a", 100.0)
    assert not refusals.due(100.0)
    refusals.stored("b")
    assert not refusals.held
    assert refusals.due(100.0)


def test_after_a_reconnection_everything_is_tried_anew() -> None:
    """The server may be another one, or have been told better."""
    refusals = Refusals()
    refusals.forget()
    assert not refusals.due(1e9)
    refusals.note(GONE, "a", 100.0)
    refusals.forget()
    assert not refusals.held
    assert refusals.due(100.0)
