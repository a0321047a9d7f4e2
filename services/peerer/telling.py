"""Tells what became of one exporting cluster's nodes: refusals, and who waits for a Peer."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.imports.waiting import Waiting
from services.peerer.patience import Patience, Sorted
from services.peerer.refusal import Refusal
from services.peerer.refusals import RefusalBoard

NodeKey = tuple[ClusterId, str]


class Telling:
    """What one importing cluster tells."""

    def __init__(self, board: RefusalBoard, waiting: Waiting[NodeKey]) -> None:
        self._board, self._waiting = board, waiting
        self._patience: dict[ClusterId, Patience] = {}

    async def state(self, exporting: ClusterId, refusals: Iterable[Refusal]) -> bool:
        """State what is refused of a cluster; return whether some of it may pass, and waits."""
        patience = self._patience.setdefault(exporting, Patience())
        found = patience.sort(refusals, now_s=time.monotonic())
        self._board.put(exporting, found.told)
        await self._settle(exporting, found)
        return bool(found.waiting)

    async def _settle(self, exporting: ClusterId, refusals: Sorted) -> None:
        """Tell those who wait that their node is peered with, or why not.

        Why a whole cluster is refused is told once, and not for each of its nodes.
        """
        told = tuple(map(_without_words, refusals.told))
        waiting = {refusal.name for refusal in refusals.waiting}
        for key in self._waiting.keys():  # noqa: SIM118 - no mapping
            if key[0] == exporting and key[1] not in waiting:
                about = (r for r in told if r.kind == "cluster" or r.name == key[1])
                await self._waiting.settle(key, about)


def _without_words(refusal: Refusal) -> Refusal:
    if refusal.kind != "cluster":
        return refusal
    return msgspec.structs.replace(refusal, reason="", message="")
