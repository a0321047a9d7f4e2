"""What would remove most of a cluster's mirrors at once waits; everything else does not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reflector.holds import Holds, Limits, News, Verdict
from services.reflector.table import ServiceKey
from tests.support.mirrors import EAST, SOUTH

KEYS = [ServiceKey("shop", f"s{number}") for number in range(100)]
LIMITS = Limits(at_least=10, share=0.5, hold_s=600)


def withdraw(
    holds: Holds, keys: Iterable[ServiceKey], *, of: int, now_s: float = 0.0
) -> News | None:
    """Withdraw keys of `of` mirrors that stand, all at once."""
    return holds.withdrawn(EAST, list(keys), standing=of, now_s=now_s)


def waiting(holds: Holds, keys: Iterable[ServiceKey] = KEYS) -> int:
    return sum(holds.waits(EAST, key) for key in keys)


AT_ONCE = {
    # how many of how many          wait  are held
    "all of a few":                (9, 9, 0, False),
    "ten of ten":                  (10, 10, 10, True),
    "just over half":              (51, 100, 51, True),
    "half wait to see":            (50, 100, 50, False),
    "a third waits to see":        (33, 100, 33, False),
    "one of many":                 (1, 100, 0, False),
}  # fmt: skip


@pytest.mark.parametrize(("gone", "of", "wait", "held"), AT_ONCE.values(), ids=AT_ONCE)
def test_what_waits_when_all_come_at_once(gone: int, of: int, wait: int, held: bool) -> None:  # noqa: FBT001
    """Few go at once; many wait until it is sure that they are not most; most are held."""
    holds = Holds(LIMITS)

    news = withdraw(holds, KEYS[:gone], of=of)

    assert waiting(holds) == wait
    assert (news is not None) == held
    assert holds.held == ({EAST: gone} if held else {})


def test_one_after_the_other_few_get_through_before_the_rest_is_held() -> None:
    """Withdrawals come as single messages; the tenth in a row makes all that follow wait."""
    holds = Holds(LIMITS)
    news = []
    for number, key in enumerate(KEYS):
        removed = min(number, 9)
        news.append(withdraw(holds, [key], of=100 - removed, now_s=number / 1000))
        if not holds.waits(EAST, key):
            holds.carried_out(EAST, key)

    assert (waiting(holds), holds.held) == (91, {EAST: 91})
    held = [(number, told) for number, told in enumerate(news) if told]
    assert [(number, told.verdict) for number, told in held] == [(50, Verdict.HELD)]


def test_many_that_are_not_most_go_after_a_second_of_rest() -> None:
    """A namespace with a third of a cluster's mirrors is deleted: that is no accident."""
    holds = Holds(LIMITS)
    withdraw(holds, KEYS[:20], of=100)
    withdraw(holds, KEYS[20:30], of=100, now_s=0.8)

    assert holds.due_s == pytest.approx(1.8)
    assert holds.decide(1.7) == []
    (news,) = holds.decide(1.8)
    assert (news.verdict, news.keys) == (Verdict.RELEASED, frozenset(KEYS[:30]))
    assert (waiting(holds), holds.due_s) == (0, None)


def test_a_trickle_is_not_gathered_for_ever() -> None:
    """After five seconds it is decided, though more still come."""
    holds = Holds(LIMITS)
    withdraw(holds, KEYS[:10], of=100)
    for number in range(10, 16):
        withdraw(holds, [KEYS[number]], of=100, now_s=0.9 * (number - 9))

    assert holds.due_s == 5.0


def test_removals_far_apart_are_not_at_once() -> None:
    """Somebody withdraws one Service every minute, until none is left."""
    holds = Holds(LIMITS)
    for number, key in enumerate(KEYS):
        assert withdraw(holds, [key], of=100 - number, now_s=60.0 * number) is None
        holds.carried_out(EAST, key)
    assert waiting(holds) == 0


def test_what_is_held_goes_after_the_grace_time() -> None:
    """Nobody confirmed; nobody objected either."""
    holds = Holds(LIMITS)
    withdraw(holds, KEYS[:60], of=100)

    assert holds.decide(599) == []
    (news,) = holds.decide(600)
    assert (news.verdict, len(news.keys), holds.held) == (Verdict.RELEASED, 60, {})


def test_what_is_held_goes_when_it_is_confirmed() -> None:
    """Confirming what is not held does nothing."""
    holds = Holds(LIMITS)
    assert holds.confirm(EAST) is None
    withdraw(holds, KEYS[:60], of=100)
    assert holds.confirm(SOUTH) is None

    news = holds.confirm(EAST)

    assert news is not None
    assert (news.verdict, news.keys) == (Verdict.RELEASED, frozenset(KEYS[:60]))
    assert waiting(holds) == 0


def test_what_is_exported_again_is_not_held_any_more() -> None:
    """The watcher was mended; while its exports return one by one, none of the rest is removed."""
    holds = Holds(LIMITS)
    withdraw(holds, KEYS[:60], of=100)
    for key in KEYS[:59]:
        holds.exported(EAST, key)
        assert holds.decide(1) == []

    assert holds.held == {EAST: 1}
    holds.exported(EAST, KEYS[59])
    assert (holds.held, holds.due_s) == ({}, None)


def test_more_withdrawals_join_those_that_are_held() -> None:
    """They are told of once, and wait for the same end."""
    holds = Holds(LIMITS)
    withdraw(holds, KEYS[:60], of=100)

    assert withdraw(holds, KEYS[60:70], of=100, now_s=30) is None
    assert (holds.held, holds.due_s) == ({EAST: 70}, 600)


def test_clusters_are_judged_each_by_itself() -> None:
    """One that leaves by intention is let go, and the other one's removals are still held."""
    holds = Holds(LIMITS)
    withdraw(holds, KEYS[:60], of=100)
    holds.withdrawn(SOUTH, KEYS[:60], standing=60, now_s=0)
    holds.forget(EAST)

    assert holds.held == {SOUTH: 60}


def test_holding_can_be_turned_off() -> None:
    """With no grace time nothing waits."""
    holds = Holds(Limits(hold_s=0))
    assert withdraw(holds, KEYS, of=100) is None
    assert (waiting(holds), holds.due_s) == (0, None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["withdraw", "export", "decide", "confirm"]),
        st.sets(st.sampled_from(KEYS[:30]), max_size=30),
        st.floats(0, 700),
    ),
    max_size=20,
)


@given(STEPS)
def test_nothing_waits_for_ever_and_nothing_exported_waits(
    steps: list[tuple[str, set[ServiceKey], float]],
) -> None:
    """Whatever happens, what waits was withdrawn, and it is let go when its time has come."""
    holds, gone, now_s = Holds(LIMITS), set[ServiceKey](), 0.0
    for step, keys, later_s in steps:
        now_s += later_s
        match step:
            case "withdraw":
                gone |= keys
                holds.withdrawn(EAST, keys, standing=30, now_s=now_s)
            case "export":
                gone -= keys
                for key in keys:
                    holds.exported(EAST, key)
            case "decide":
                holds.decide(now_s)
            case _:
                holds.confirm(EAST)
        assert {key for key in KEYS if holds.waits(EAST, key)} <= gone
    for _ in range(2):  # gathered, then held
        holds.decide(holds.due_s or 0)
    assert (waiting(holds), holds.due_s) == (0, None)
