"""Which peers answer: by what was received from them, and by the time that passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wireguard.device import Device, DevicePeer
from services.peerer.wireguard.health import ASK_AFTER_S, SILENT_AFTER_S, Health, State
from tests.support.wireguard import some_key

A, B = some_key(1), some_key(2)
UNTRIED, ANSWERING, SILENT = State.UNTRIED, State.ANSWERING, State.SILENT


def device(**received: int) -> Device:
    """Return a device with peers a and b, as far as they are named, and their bytes."""
    keys = {"a": A, "b": B}
    return Device(
        peers={
            keys[name]: DevicePeer(public_key=keys[name], rx_bytes=count)
            for name, count in received.items()
        }
    )


def seen(*looks: tuple[float, int | None]) -> Health:
    """Return what is known after looks at peer a: each a time, and its bytes (None: not there)."""
    health = Health()
    for now_s, count in looks:
        health.look(device() if count is None else device(a=count), now_s=now_s)
    return health


def quiet(count: int, *, since: int, until: int) -> list[tuple[float, int]]:
    """Return looks, one each second, that show the same bytes."""
    return [(float(now_s), count) for now_s in range(since, until + 1)]


CASES: dict[str, tuple[list[tuple[float, int | None]], State]] = {
    # looks                                                              state of a
    "nobody looked":          ([],                                       UNTRIED),
    "looked once":            ([(0, 0)],                                 UNTRIED),
    "bytes from before":      ([(0, 500)],                               UNTRIED),
    "said nothing for 12 s":  ([*quiet(0, since=0, until=12)],           UNTRIED),
    "said nothing for 13 s":  ([*quiet(0, since=0, until=13)],           SILENT),
    "said something":         ([(0, 0), (1, 100)],                       ANSWERING),
    "12 s ago":               ([(0, 0), *quiet(100, since=1, until=13)], ANSWERING),
    "13 s ago":               ([(0, 0), *quiet(100, since=1, until=14)], SILENT),
    "is back":                ([*quiet(0, since=0, until=20), (21, 1)],  ANSWERING),
    "went, and came anew":    ([*quiet(0, since=0, until=20), (21, None), (22, 0)], UNTRIED),
    "is gone":                ([(0, 0), (1, 100), (2, None)],            UNTRIED),
    "we slept for an hour":   ([(0, 0), (1, 100), (3601, 100)],          ANSWERING),
    "we slept three times":   ([(0, 0), *((3600 * n, 0) for n in range(1, 4))], UNTRIED),
    "the clock went back":    ([*quiet(0, since=50, until=60), (0, 0), *quiet(0, since=1, until=3)],
                               SILENT),
    "made anew, said nothing": ([(0, 0), *quiet(100, since=1, until=15), (16, 0)], SILENT),
    "made anew, and answers":  ([(0, 0), *quiet(100, since=1, until=15), (16, 92)], ANSWERING),
    "made anew, answers later": ([(0, 0), *quiet(100, since=1, until=15), (16, 0), (17, 92)],
                                ANSWERING),
    "made anew, answers as much": ([(0, 0), *quiet(92, since=1, until=15), (16, 0), (17, 92)],
                                ANSWERING),
}  # fmt: skip


@pytest.mark.parametrize(("looks", "state"), CASES.values(), ids=CASES)
def test_state(looks: list[tuple[float, int | None]], state: State) -> None:
    """A peer is silent when it was asked all the time and sent nothing for 13 s."""
    assert seen(*looks).state(A) is state


def test_a_look_tells_whether_a_state_changed() -> None:
    """So that a plan is made anew then, and not each second; a new peer counts as well."""
    health = Health()
    told = [health.look(device(a=0), now_s=float(now_s)) for now_s in range(16)]
    assert [now_s for now_s, changed in enumerate(told) if changed] == [0, 13]

    assert health.look(device(a=100), now_s=16)
    assert not health.look(device(a=200), now_s=17)


def test_one_peers_silence_is_not_anothers() -> None:
    """States are by peer."""
    health = Health()
    for now_s in range(20):
        health.look(device(a=0, b=100 * now_s), now_s=float(now_s))

    assert (health.state(A), health.state(B)) == (SILENT, ANSWERING)
    assert list(health.to_ask()) == [A]


def test_who_said_something_just_now_is_not_asked() -> None:
    """A peer that sends all the time needs no question; one that is gone neither."""
    assert list(seen((0, 0)).to_ask()) == []
    assert list(seen((0, 0), (ASK_AFTER_S, 0)).to_ask()) == [A]
    assert list(seen((0, 0), (1, 100)).to_ask()) == []
    assert list(seen((0, 0), (1, 0), (2, None)).to_ask()) == []


LOOKS = st.lists(st.tuples(st.floats(0.1, 3.0), st.booleans()), min_size=1, max_size=60)


@given(LOOKS)
def test_silence_is_the_time_since_something_came(looks: list[tuple[float, bool]]) -> None:
    """For any steps of time up to three seconds, and any pattern of answers."""
    health, now_s, count, silent_s, heard = Health(), 0.0, 0, 0.0, False
    health.look(device(a=0), now_s=now_s)
    for step_s, answers in looks:
        now_s, count = now_s + step_s, count + answers
        before_s, silent_s = silent_s, 0.0 if answers else silent_s + step_s
        heard |= answers
        changed = health.look(device(a=count), now_s=now_s)
        if abs(silent_s - SILENT_AFTER_S) > 1e-6:
            expected = ANSWERING if heard else UNTRIED
            assert health.state(A) is (SILENT if silent_s > SILENT_AFTER_S else expected)
        assert not changed or silent_s == 0.0 or silent_s - before_s > 0.0
