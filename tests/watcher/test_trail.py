"""A watcher remembers how the latest changes travelled, within bounds."""

from __future__ import annotations

from heliograph.contract.feedback import Feedback, Step
from heliograph.contract.names import ClusterId
from services.watcher.table import ServiceKey
from services.watcher.trail import Departure, Trail

CART = ServiceKey("shop", "cart")
WEST = ClusterId("west")


def leave(trail: Trail, event_id: str, key: ServiceKey = CART) -> None:
    """Let a publication leave, ten milliseconds after its watch line."""
    departure = Departure(
        event_id=event_id,
        type="service.exported.v1",
        name=key.name,
        seen_at="2026-11-27T10:00:00.000000Z",
        seen_s=7,
        sent_s=7.01,
    )
    trail.sent(key, departure)


def said(event_id: str, **facts: object) -> Feedback:
    """Return what a cluster says."""
    return Feedback(event_id=event_id, outcome="applied", seconds=0.1, **facts)  # type: ignore[arg-type]


def test_times_are_since_the_watch_line() -> None:
    """Sent, stored and heard, by one clock; the importing cluster's own time stays as it is."""
    trail = Trail()
    leave(trail, "1-1")
    trail.stored("1-1", now_s=7.02)
    trail.answered(WEST, said("1-1"), now_s=7.2)

    (change,) = trail.of(CART)
    assert (change.sent_s, change.stored_s) == (0.01, 0.02)
    (answer,) = change.answers
    assert (answer.importing, answer.heard_s, answer.seconds) == (WEST, 0.2, 0.1)


def test_what_is_not_remembered_is_let_by() -> None:
    """Feedback may come when its change is long forgotten, and nobody may ask for it."""
    trail = Trail()
    trail.stored("0-0", now_s=1)
    trail.answered(WEST, said("0-0"), now_s=1)
    assert trail.of(CART) == ()


def test_the_latest_changes_of_a_service_are_kept() -> None:
    """Eight of them, the newest last; feedback to older ones is let by."""
    trail = Trail()
    for number in range(10):
        leave(trail, f"1-{number}")
    trail.answered(WEST, said("1-1"), now_s=8)

    assert [change.event_id for change in trail.of(CART)] == [f"1-{n}" for n in range(2, 10)]
    assert not any(change.answers for change in trail.of(CART))


def test_the_services_that_changed_lately_are_kept() -> None:
    """Five hundred of them; one that changes again is the latest."""
    trail = Trail()
    keys = [ServiceKey("shop", f"s{number}") for number in range(501)]
    for number, key in enumerate(keys[:500]):
        leave(trail, f"1-{number}", key)
    leave(trail, "2-0", keys[0])
    leave(trail, "2-1", keys[500])

    assert [len(trail.of(key)) for key in (keys[0], keys[1], keys[2], keys[500])] == [2, 0, 1, 1]


def test_answers_of_many_clusters_take_no_more_memory() -> None:
    """A hundred clusters of each change, ten thousand answers in all; the oldest Services go."""
    trail = Trail()
    keys = [ServiceKey("shop", f"s{number}") for number in range(101)]
    for number, key in enumerate(keys):
        leave(trail, f"1-{number}", key)
        for cluster in range(110):
            trail.answered(ClusterId(f"c{cluster}"), said(f"1-{number}"), now_s=8)

    assert trail.of(keys[0]) == ()
    assert [len(change.answers) for key in keys[1:] for change in trail.of(key)] == [100] * 100


def test_a_clusters_latest_word_counts() -> None:
    """It may carry out what it refused before; that is no second answer."""
    trail = Trail()
    leave(trail, "1-1")
    for reason in ("Foreign", ""):
        trail.answered(WEST, said("1-1", reason=reason), now_s=8)

    (answer,) = trail.of(CART)[0].answers
    assert answer.reason == ""


def test_what_others_say_is_bounded() -> None:
    """Texts and steps come from other clusters."""
    trail = Trail()
    leave(trail, "1-1")
    step = Step(name="x" * 1000, begun_s=0, ended_s=1)
    long = said("1-1", reason="x" * 1000, message="x" * 1000, steps=(step,) * 100)
    trail.answered(WEST, long, now_s=8)

    (answer,) = trail.of(CART)[0].answers
    assert (len(answer.reason), len(answer.message), len(answer.steps)) == (64, 500, 16)
    assert len(answer.steps[0].name) == 64
