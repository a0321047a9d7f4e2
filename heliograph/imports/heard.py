"""When a message came, on the own clock: also one that a replay brings long after it was stored.

Pure: both clocks are arguments.
"""

from __future__ import annotations

from typing import Final

import msgspec

CLOCKS_DIFFER_S: Final = 5.0
"""By how much the bus's clock may be behind ours, and nothing looks older than it is."""

_NS: Final = 1e9


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """When a message came.

    Attributes:
        stored_at_ns: When the stream took it, by the bus's clock: tells messages of one subject
            apart.
        at_s: When it came, or for one that was there before: when it must have come at the latest;
            seconds on the own monotonic clock.
    """

    stored_at_ns: int
    at_s: float


def heard(stored_at_ns: int, *, replayed: bool, now_s: float, now_ns: int) -> Heard:
    """Return when a message came that is delivered now.

    A change came now, whatever the clocks say. What a replay brings is as old as the wall clocks
    say, less what these may differ by. A bus whose clock is ahead makes it look younger than it is:
    it is then kept for true once more, for as long as any new one.

    Args:
        stored_at_ns: When the stream took it, by the bus's clock.
        replayed: Whether it comes from a replay, and not as a change.
        now_s: The own monotonic clock.
        now_ns: The own wall clock, nanoseconds since the Unix epoch.
    """
    age_s = (now_ns - stored_at_ns) / _NS - CLOCKS_DIFFER_S
    return Heard(stored_at_ns=stored_at_ns, at_s=now_s - max(0.0, age_s) if replayed else now_s)
