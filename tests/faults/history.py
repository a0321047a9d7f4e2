"""What happened, and when: printed when a test fails, since nobody can bring it back otherwise."""

from __future__ import annotations

import time

import msgspec
from typing_extensions import override


class History(msgspec.Struct):
    """Lines with times, and what was seen that must never be.

    Attributes:
        began_s: When it began, by a clock that only goes forward.
        lines: What happened, oldest first.
        violations: What must never be.
        faults: How many faults were made.
    """

    began_s: float = msgspec.field(default_factory=time.monotonic)
    lines: list[str] = []
    violations: list[str] = []
    faults: int = 0

    def note(self, what: str) -> None:
        """Remember that something happens now."""
        self.lines.append(f"{time.monotonic() - self.began_s:8.3f} s  {what}")

    def violation(self, what: str) -> None:
        """Remember something that must never be."""
        self.note(f"VIOLATION: {what}")
        self.violations.append(what)

    @override
    def __str__(self) -> str:
        return "\n".join(self.lines)
