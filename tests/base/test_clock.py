"""Times as the contract writes them: to the microsecond, in UTC, without rounding."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.clock import now_ns, parse_rfc3339, rfc3339

MICROSECONDS = st.datetimes(
    min_value=dt.datetime(1000, 1, 1),  # noqa: DTZ001 - its zone follows
    timezones=st.just(dt.UTC),
)
READ = {
    "as we write it":            ("2026-11-22T10:00:00.123456Z", 1_795_341_600_123_456_000),
    "as Kubernetes writes it":   ("2026-11-22T10:00:00Z",        1_795_341_600_000_000_000),
    "with an offset":            ("2026-11-22T12:00:00+02:00",   1_795_341_600_000_000_000),
    "before the Unix epoch":     ("1969-12-31T23:59:59.500000Z", -500_000_000),
    "late, with all digits":     ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999_000),
    "without an offset":         ("2026-11-22T10:00:00",         None),
    "a date":                    ("2026-11-22",                  None),
    "no time":                   ("yesterday",                   None),
    "nothing":                   ("",                            None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "at_ns"), READ.values(), ids=READ)
def test_times_are_read_exactly(text: str, at_ns: int | None) -> None:
    """A time without its offset could be anywhere, and is none."""
    assert parse_rfc3339(text) == at_ns


@given(MICROSECONDS)
def test_a_time_survives_being_written(at: dt.datetime) -> None:
    """Any microsecond is read as it was written, also those that a float would round."""
    at_ns = (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000
    assert parse_rfc3339(rfc3339(at_ns)) == at_ns


@given(st.lists(st.integers(0, 4_000_000_000_000_000_000), min_size=2, max_size=2).map(sorted))
def test_written_times_sort_as_times_do(times_ns: list[int]) -> None:
    """Texts can be compared where times are meant."""
    assert rfc3339(times_ns[0]) <= rfc3339(times_ns[1])


def test_now_is_the_wall_clock() -> None:
    """Nanoseconds since the Unix epoch."""
    assert abs(now_ns() - time.time_ns()) < 10**9
