"""Silent is who is not heard of and does not answer; either alone changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.imports.heard import Heard
from heliograph.imports.link_table import Path
from services.reflector.liveness import Liveness
from tests.support.mirrors import EAST, SOUTH

LEASE_S = 10.0
PATHS: tuple[Path, ...] = ("answering", "silent", "unknown")


class Scene:
    """East, as one importing cluster hears of it."""

    def __init__(self, path: Path = "answering", **settings: Any) -> None:  # noqa: ANN401
        self.path: Path = path
        self.liveness = Liveness(lambda *_: self.path, **settings)
        self.liveness.expect(EAST, 0.0)
        self._stored = 0

    def hear(self, now_s: float, lease_s: float = LEASE_S) -> None:
        """Let east renew its lease."""
        self._stored += 1
        heard = Heard(stored_at_ns=self._stored, at_s=now_s)
        self.liveness.renewed(EAST, lease_s, heard)

    def silent(self, now_s: float) -> bool:
        """Return whether east is silent at a time."""
        self.liveness.look(EAST, now_s)
        return EAST in self.liveness.silent


CASES = {
    # lease is out, path, unknown is silent   is silent
    "heard, and answers":                     (False, "answering", False, False),
    "heard, but its nodes do not answer":     (False, "silent", False, False),
    "heard, and nobody says":                 (False, "unknown", True, False),
    "not heard, but its nodes answer":        (True, "answering", True, False),
    "not heard, and its nodes do not answer": (True, "silent", False, True),
    "not heard, and nobody says":             (True, "unknown", False, False),
    "the same, where that is enough":         (True, "unknown", True, True),
}  # fmt: skip


@pytest.mark.parametrize(("out", "path", "enough", "silent"), CASES.values(), ids=CASES)
def test_who_is_silent(out: bool, path: Path, enough: bool, silent: bool) -> None:  # noqa: FBT001
    """It takes both: a lease that is out and a path that is silent; a policy may ask for less."""
    scene = Scene(path, unknown_is_silent=enough)
    scene.hear(0)

    assert scene.silent(LEASE_S if out else LEASE_S - 0.1) == silent


def silent_scene() -> Scene:
    """Return a scene in which east is silent, at second 10."""
    scene = Scene("silent")
    scene.hear(0)
    assert scene.silent(10)
    return scene


def test_a_lease_calls_it_back() -> None:
    """Although none of its nodes answers."""
    scene = silent_scene()
    scene.hear(20)

    assert not scene.silent(20)
    assert scene.silent(30)


def test_an_answer_calls_it_back() -> None:
    """Although it is not heard of."""
    scene = silent_scene()
    scene.path = "answering"

    assert not scene.silent(20)


def test_that_nobody_says_any_more_calls_nobody_back() -> None:
    """The own agents or the own bus are away: that proves nothing, so all stays as it is."""
    scene = silent_scene()
    scene.path = "unknown"
    scene.liveness.deafen()

    assert scene.silent(20)
    scene.liveness.listen(100)
    assert scene.silent(101)


def test_nobody_is_called_silent_while_nothing_can_be_heard() -> None:
    """Nor before a whole lease has passed since."""
    scene = Scene("silent")
    scene.hear(0)
    scene.liveness.deafen()

    assert not scene.silent(60)
    assert scene.liveness.due_s(60) is None
    assert not scene.liveness.waits(60)
    scene.liveness.listen(60)
    assert not scene.silent(69)
    assert scene.liveness.due_s(69) == 70
    assert scene.silent(70)


def test_an_old_message_of_a_replay_ends_no_lease_sooner() -> None:
    """After an outage of the own bus, what was stored before it is the last there is."""
    scene = Scene("silent")
    scene.hear(0)
    scene.liveness.deafen()
    scene.liveness.listen(60)
    scene.hear(4)

    assert not scene.silent(69)


def test_the_same_message_again_renews_nothing() -> None:
    """A replay brings what was heard already, and perhaps often."""
    scene = Scene("silent")
    heard = Heard(stored_at_ns=7, at_s=0)
    scene.liveness.renewed(EAST, LEASE_S, heard)
    scene.liveness.renewed(EAST, LEASE_S, Heard(stored_at_ns=7, at_s=9))

    assert scene.silent(10)


def test_a_restart_believes_the_age_of_the_last_message() -> None:
    """The first one that is heard at all counts from when it was stored: nothing is ready again."""
    scene = Scene("silent")
    scene.hear(-50)

    assert scene.silent(0)


def test_a_cluster_that_is_never_heard() -> None:
    """Its bus may have died with it: it has a lease from when it could be heard."""
    scene = Scene("silent")

    assert not scene.silent(9.9)
    assert scene.silent(10)


@pytest.mark.parametrize("lease_s", [-1.0, 0.0, 1e-9, 1e300])
def test_a_lease_is_bounded(lease_s: float) -> None:
    """Another cluster's word lets nobody flap, nor live for ever."""
    scene = Scene("silent")
    scene.hear(0, lease_s)

    assert not scene.silent(0.9)
    assert scene.silent(3600)


def test_who_left_is_forgotten() -> None:
    """It is not silent any more, and is not waited for."""
    scene = silent_scene()
    scene.liveness.forget(EAST)

    assert scene.liveness.look_at_all(20) == {EAST}
    assert not scene.liveness.silent
    assert scene.liveness.due_s(20) is None


def test_the_next_moment_is_known() -> None:
    """The first lease that ends; one that is out waits for its path, or for nothing."""
    scene = Scene("answering")
    scene.hear(0)
    scene.liveness.expect(SOUTH, 5)

    assert scene.liveness.due_s(0) == 10
    assert not scene.liveness.waits(9)
    assert scene.liveness.look_at_all(10) == set()
    assert scene.liveness.waits(10)
    assert scene.liveness.due_s(10) == 15
    scene.path = "silent"
    assert scene.liveness.look_at_all(15) == {EAST, SOUTH}
    assert not scene.liveness.waits(15)
    assert scene.liveness.due_s(15) is None


@given(steps=st.lists(st.tuples(st.floats(0.1, 9.9), st.sampled_from(PATHS)), max_size=30))
def test_whoever_keeps_its_lease_is_never_silent(steps: list[tuple[float, Path]]) -> None:
    """Whatever the path looks like meanwhile."""
    scene, now_s = Scene(unknown_is_silent=True), 0.0
    for after_s, path in steps:
        scene.hear(now_s)
        now_s, scene.path = now_s + after_s, path
        assert not scene.silent(now_s)


@given(steps=st.lists(st.tuples(st.floats(0.1, 99), st.booleans(), st.booleans()), max_size=30))
def test_whoever_answers_is_never_silent(steps: list[tuple[float, bool, bool]]) -> None:
    """However rarely it is heard of, and whatever becomes of the own bus."""
    scene, now_s = Scene("answering"), 0.0
    for after_s, heard, deaf in steps:
        now_s += after_s
        if heard:
            scene.hear(now_s)
        (scene.liveness.deafen if deaf else lambda at=now_s: scene.liveness.listen(at))()
        assert not scene.silent(now_s)
