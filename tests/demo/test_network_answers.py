"""What a pod's requests say: nobody has that name, all is well again, and after how long."""

from __future__ import annotations

import pytest

from heliograph.demo.network.answered import gap, steady, unknown_name
from heliograph.lab.network import Answer

BROKEN_AT = 100.0


def answered(at: float, said: str = "backend", *, took_ms: float = 10.0) -> Answer:
    return Answer(at=at, took_ms=took_ms, ok=said == "backend", said=said)


UNKNOWN = [answered(n, "gaierror: [Errno -2] Name or service not known") for n in range(3)]
REFUSED = answered(9, "ConnectionRefusedError: [Errno 111] Connection refused")
LATE = answered(BROKEN_AT - 1.5, "TimeoutError: timed out", took_ms=2000)
FAILED = answered(BROKEN_AT + 2, "TimeoutError: timed out", took_ms=2000)


@pytest.mark.parametrize(
    ("seen", "unknown"),
    [
        ([], False),
        (UNKNOWN[:2], False),
        (UNKNOWN, True),
        ([answered(1), *UNKNOWN], True),
        ([*UNKNOWN, answered(1)], False),
        ([*UNKNOWN, REFUSED], False),
    ],
)
def test_a_name_is_unknown_once_it_is_so_three_times(seen: list[Answer], *, unknown: bool) -> None:
    """What fails otherwise than by its name does not count: the name is still there."""
    assert unknown_name(seen) is unknown


@pytest.mark.parametrize(
    ("seen", "is_steady"),
    [
        ([answered(BROKEN_AT + n) for n in range(1, 21)], True),
        ([FAILED, *(answered(BROKEN_AT + n) for n in range(1, 21))], True),
        ([answered(BROKEN_AT + n) for n in range(1, 20)], False),
        ([answered(BROKEN_AT + n) for n in range(20)], False),
        ([*(answered(BROKEN_AT + n) for n in range(1, 20)), FAILED], False),
    ],
)
def test_requests_are_steady_once_twenty_were_answered(
    seen: list[Answer], *, is_steady: bool
) -> None:
    """Only those that began after the moment count."""
    assert steady(seen, BROKEN_AT) is is_steady


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        ([answered(BROKEN_AT + 1)], 0),
        ([LATE, answered(BROKEN_AT + 1)], 1.01),
        ([answered(BROKEN_AT + 1), FAILED, answered(BROKEN_AT + 4), answered(200)], 4.01),
        ([answered(BROKEN_AT - 9, "gaierror"), answered(BROKEN_AT + 1)], 0),
    ],
    ids=["nothing-failed", "one-was-under-way", "last-failure-counts", "failed-before"],
)
def test_a_gap_ends_with_the_first_answer_after_the_last_failure(
    seen: list[Answer], seconds: float
) -> None:
    """It is counted from the moment on; a request that was under way then may have failed too."""
    assert gap(seen, BROKEN_AT) == pytest.approx(seconds)
