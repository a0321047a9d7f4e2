"""Delays grow, end at a limit, and differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.backoff import Backoff

WHOLE = {
    "never failed": (0, 0.1),
    "once": (1, 0.1),
    "twice": (2, 0.2),
    "three times": (3, 0.4),
    "at the limit": (7, 5.0),
    "for a year": (10**9, 5.0),
}


@pytest.mark.parametrize(("failures", "whole_s"), WHOLE.values(), ids=WHOLE)
def test_delays_double_up_to_the_limit(failures: int, whole_s: float) -> None:
    """A delay is between half of the whole and the whole."""
    delay_s = Backoff(initial_s=0.1, limit_s=5.0).delay_s(failures)
    assert whole_s / 2 <= delay_s <= whole_s


@given(st.floats(0.001, 10), st.floats(0.001, 100), st.integers(-5, 10**12))
def test_no_delay_leaves_its_bounds(initial_s: float, limit_s: float, failures: int) -> None:
    """Whatever the settings: never longer than the limit, never none at all."""
    delay_s = Backoff(initial_s=initial_s, limit_s=limit_s).delay_s(failures)
    assert min(initial_s, limit_s) / 2 <= delay_s <= limit_s


def test_loops_that_failed_together_do_not_return_together() -> None:
    """Two delays after equally many failures differ."""
    backoff = Backoff()
    assert len({backoff.delay_s(3) for _ in range(10)}) > 1
