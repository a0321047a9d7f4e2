"""One thing that a check has found. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["problem", "warning", "ok"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a check.

    Attributes:
        severity: "problem": something will not work; "warning": something may not, or not all of
            it; "ok": what was looked at and is right.
        cluster: Whose it is; of two, the one where it is to be mended. Empty for none.
        reason: One CamelCase word for programs.
        what: What was found, as a sentence without its full stop.
        remedy: What to do, in the same form; empty where there is nothing to do.
    """

    severity: Severity
    cluster: str
    reason: str
    what: str
    remedy: str = ""


def named(names: tuple[str, ...], *, shown: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, word: str) -> str:
    """Return "1 node" or "3 nodes"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
