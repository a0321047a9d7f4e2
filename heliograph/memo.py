"""Texts that are read again and again, read once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

R = TypeVar("R")

_KEPT: Final = 1 << 14
_LONGEST: Final = 300
"""Characters: a DNS name with its port has fewer. Longer texts are garbage, and not remembered."""


def remembered(read: Callable[[str], R]) -> Callable[[str], R]:
    """Remember what a pure function makes of a text, of some thousands of short texts.

    Texts come from other clusters: neither their number nor their length makes memory grow.
    """
    return _Remembering(read).__getitem__  # a text that is known costs one look into a dict


class _Remembering(dict[str, R], Generic[R]):
    """What was read; all is forgotten when it is too much."""

    def __init__(self, read: Callable[[str], R]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> R:
        found = self._read(text)
        if len(text) <= _LONGEST:
            if len(self) >= _KEPT:
                self.clear()
            self[text] = found
        return found
