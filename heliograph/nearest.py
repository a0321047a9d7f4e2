"""The names that somebody may have meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_OFFERED: Final = 3
_SHOWN: Final = 10


def near_ones(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that offers the nearest names; empty if none is near."""
    near = difflib.get_close_matches(name, sorted(set(known)), n=_OFFERED)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that offers the nearest names; what there is, if none is near.

    Args:
        name: What was given.
        known: What it could have been.
    """
    names = sorted(set(known))
    if near := near_ones(name, names):
        return near
    if not names:
        return "; there are none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; there are {', '.join(names[:_SHOWN])}{more}"
