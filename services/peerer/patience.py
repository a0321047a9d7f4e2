"""Which refusals are told at once, and which may pass within moments. Pure.

A cluster's message with its ranges and those of its nodes come one after the other: a node that
has just joined may be heard before the range of its pods is. It is not peered with until then, but
nobody is told of it. The same goes for names that are just being looked up, and for a cluster
whose admission somebody else is just writing down.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from services.peerer.refusal import NOT_RECORDED, PEERS_OTHERWISE, Refusal

PATIENCE_S: Final = 5.0
_MAY_PASS: Final = frozenset(
    {"RangeNotDeclared", "EndpointUnresolvable", NOT_RECORDED, PEERS_OTHERWISE}
)


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """Refusals, by whether they are told."""

    told: tuple[Refusal, ...]
    waiting: tuple[Refusal, ...] = ()


class Patience:
    """Since when refusals stand that may pass; of one exporting cluster."""

    def __init__(self) -> None:
        self._since_s: dict[Refusal, float] = {}

    def sort(self, refusals: Iterable[Refusal], *, now_s: float) -> Sorted:
        """Return what is told now, and what waits; `now_s` is of a clock that never goes back."""
        standing = tuple(refusals)
        before, self._since_s = self._since_s, {}
        for refusal in standing:
            if refusal.reason in _MAY_PASS:
                self._since_s[refusal] = before.get(refusal, now_s)
        waiting = {r for r, since_s in self._since_s.items() if now_s - since_s < PATIENCE_S}
        return Sorted(
            told=tuple(r for r in standing if r not in waiting),
            waiting=tuple(r for r in standing if r in waiting),
        )
