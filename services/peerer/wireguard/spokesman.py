"""Lets one agent of a cluster tell people what all of them refuse: the first by name that lives."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from heliograph.bus import Connection
from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.imports.links import LinkFollower
from services.peerer.refusals import RefusalBoard

_LOOK_S: Final = 5.0


class Spokesman:
    """Runs the board of refusals while the own node is the first whose agent is heard of.

    Two may do so for moments, or none for a minute and a half after an agent died: what they say is
    the same, and stays on the bus.
    """

    def __init__(
        self, home: Connection, cluster: ClusterId, node: str, board: RefusalBoard
    ) -> None:
        """Prepare; `home` is the bus of the own cluster, `node` the own node."""
        self._node, self._board = node, board
        self._links = LinkFollower(home, cluster, changed=lambda _: None)

    async def run(self) -> None:
        """Take turns, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._links.run())
            while True:
                await self._until(speaks=True)
                async with alongside(self._board.run()):
                    await self._until(speaks=False)

    async def _until(self, *, speaks: bool) -> None:
        while self._speaks() is not speaks:  # noqa: ASYNC110 - time alone may change it
            await asyncio.sleep(_LOOK_S)

    def _speaks(self) -> bool:
        return is_first(self._node, self._links.table.heard_of(time.monotonic()))


def is_first(node: str, heard_of: set[str]) -> bool:
    """Tell whether a node is heard of, and none before it in the order of names."""
    return node == min(heard_of, default=None)
