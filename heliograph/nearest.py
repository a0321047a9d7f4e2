"""The names that somebody may have meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_OFFERED: Final = 3
_SHOWN: Final = 10


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that offers the nearest names; what there is, if none is near.

    Args:
        name: What was given.
        known: What it could have been.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=_OFFERED)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    if not names:
        return "; there are none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; there are {', '.join(names[:_SHOWN])}{more}"
