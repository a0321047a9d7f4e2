"""Nodes that wait for the lease that declares their ranges. Pure.

An importer refuses a node with ranges that its cluster does not declare, and tells people so. A
lease that grew therefore goes first; one that shrinks goes after what was in its ranges.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.announce.announcer import Origin
from services.watcher.table import NodeName


class HeldNodes:
    """Holds changes of nodes back from a change of the ranges until a lease was stored."""

    def __init__(self) -> None:
        self._changes = self._declared = 0
        self._held: dict[NodeName, Origin] = {}

    def __len__(self) -> int:
        """How many nodes wait."""
        return len(self._held)

    @property
    def changes(self) -> int:
        """How often the ranges changed; what `declared` wants to hear."""
        return self._changes

    def change(self) -> None:
        """The ranges changed, or nobody knows what was declared."""
        self._changes += 1

    def hold(self, node: NodeName, origin: Origin) -> bool:
        """Tell whether a change of a node waits; if so, it is kept, for its first reason."""
        if self._declared == self._changes:
            return False
        self._held.setdefault(node, origin)
        return True

    def declared(self, changes: int) -> Mapping[NodeName, Origin]:
        """Take that a lease was stored; return what need not wait any more.

        Args:
            changes: `changes` when that lease was made.
        """
        self._declared = changes
        if changes != self._changes:
            return {}
        free, self._held = self._held, {}
        return free
