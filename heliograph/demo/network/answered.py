"""What the requests of a pod say about the way to a Service. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heliograph.lab.network import Answer

_STEADY: Final = 20
"""Requests in a row, one second, after which a change is over."""
_NO_NAME: Final = "gaierror"


def unknown_name(answers: Sequence[Answer]) -> bool:
    """Whether the name is not resolved, lately."""
    lately = answers[-3:]
    return len(lately) == 3 and all(a.said.startswith(_NO_NAME) for a in lately)  # noqa: PLR2004


def steady(answers: Sequence[Answer], since: float) -> bool:
    """Whether a second's requests that began after a moment (of the epoch) were all answered."""
    lately = answers[-_STEADY:]
    return len(lately) == _STEADY and all(a.ok and a.at > since for a in lately)


def gap(answers: Sequence[Answer], since: float) -> float:
    """Return after how many seconds from a moment on requests were answered for good.

    Args:
        answers: The last one is ok.
        since: When something broke, in seconds of the epoch; 0 is returned if nothing failed.
    """
    failed = [n for n, a in enumerate(answers) if not a.ok and ended(a) > since]
    return ended(answers[failed[-1] + 1]) - since if failed else 0.0


def ended(answer: Answer) -> float:
    """Return when a request was over, in seconds of the epoch."""
    return answer.at + answer.took_ms / 1000
