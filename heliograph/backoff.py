"""Waiting between attempts of loops that never give up. Pure but for its random numbers.

Single calls are retried with stamina; this is for loops that succeed and fail by turns, and for
queues that remember a delay for each key.
"""

from __future__ import annotations

import random

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential delays with jitter, so that many loops that failed together do not return so.

    Attributes:
        initial_s: Delay after the first failure, seconds.
        limit_s: No delay is longer, seconds.
    """

    initial_s: float = 0.1
    limit_s: float = 10.0

    def delay_s(self, failures: int) -> float:
        """Return the delay after so many failures running: between half of it and the whole."""
        exponent = min(max(failures, 1) - 1, 32)
        whole = min(self.limit_s, self.initial_s * 2.0**exponent)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
