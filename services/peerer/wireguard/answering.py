"""Answers on the bus whoever of the own cluster asks for the tunnels of this node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heliograph import bus
from heliograph.bus import Connection, Message
from heliograph.contract.names import ClusterId
from heliograph.contract.tunnels import (
    Tunnel,
    decode_asked,
    encode_tunnels,
    in_parts,
    tunnels_subject,
)


class Answering:
    """The answers of one node's agent."""

    def __init__(
        self,
        home: Connection,
        cluster: ClusterId,
        node: str,
        tunnels: Callable[[], tuple[Tunnel, ...]],
    ) -> None:
        """Prepare; `tunnels` returns what there is to tell now."""
        self._node, self._tunnels = node, tunnels
        learns_nothing = f"'heliograph peers' learns nothing of node {node}"
        self._answering = bus.Answering(
            home, (tunnels_subject(cluster),), self._answer, learns_nothing
        )

    async def run(self) -> None:
        """Answer, for ever."""
        await self._answering.run()

    def _answer(self, question: Message) -> Iterator[bytes]:
        if decode_asked(question.payload).node in {None, self._node}:
            yield from map(encode_tunnels, in_parts(self._node, self._tunnels()))
