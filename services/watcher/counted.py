"""The ranges of many nodes, joined: most have neighbours, or are the same for all nodes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from heliograph.ranges import join_ranges


class CountedRanges:
    """Ranges, each as long as any node has it.

    Attributes:
        changes: How often there was one more, or one less; joining takes long with many.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._count: Counter[str] = Counter()
        self._joined: tuple[str, ...] | None = None

    def replace(self, before: Iterable[str], after: Iterable[str]) -> None:
        """Take that a node has other ranges than it had; all are canonical."""
        for cidr in after:
            self._count[cidr] += 1
            if self._count[cidr] == 1:
                self._change()
        for cidr in before:
            self._count[cidr] -= 1
            if not self._count[cidr]:
                del self._count[cidr]
                self._change()

    def joined(self) -> tuple[str, ...]:
        """Return the fewest ranges that cover all; kept until there is another one."""
        if self._joined is None:
            self._joined = join_ranges(self._count)
        return self._joined

    def _change(self) -> None:
        self.changes, self._joined = self.changes + 1, None
