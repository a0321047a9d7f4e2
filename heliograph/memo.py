"""Texts that are read again and again, read once. Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, TypeVar

R = TypeVar("R")

_KEPT: Final = 1 << 14
_LONGEST: Final = 300
"""Characters: a DNS name with its port has fewer. Longer texts are garbage, and not remembered."""


def remembered(read: Callable[[str], R]) -> Callable[[str], R]:
    """Remember what a pure function makes of a text, of some thousands of short texts.

    Texts come from other clusters: neither their number nor their length makes memory grow.
    """
    remembering = functools.lru_cache(maxsize=_KEPT)(read)

    @functools.wraps(read)
    def reading(text: str) -> R:
        return read(text) if len(text) > _LONGEST else remembering(text)

    return reading
