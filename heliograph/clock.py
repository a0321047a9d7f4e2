"""Wall-clock times as the contract writes them. Pure but for reading the clock."""

from __future__ import annotations

import datetime as dt
import functools
import time
from typing import Final

_NS: Final = 1_000_000_000
_UNIX_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def now_ns() -> int:
    """Return the wall clock in nanoseconds since the Unix epoch."""
    return time.time_ns()


@functools.lru_cache(maxsize=16)
def rfc3339(at_ns: int) -> str:
    """Return a time in UTC with microseconds, such as "2026-11-22T10:00:00.123456Z".

    One change, or one comparison, makes many publications: all bear the same text.
    """
    seconds, rest = divmod(at_ns, _NS)
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def parse_rfc3339(text: str) -> int | None:
    """Return nanoseconds since the Unix epoch; None if the text is no time with its offset."""
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return (at - _UNIX_EPOCH) // _MICROSECOND * 1000
