"""Answers on the bus whoever of the own cluster asks for the tunnels of this node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from heliograph.bus import Connection, ConnectionEvent, Denied, Message
from heliograph.contract.names import ClusterId
from heliograph.contract.tunnels import (
    MalformedTunnels,
    Tunnel,
    decode_asked,
    encode_tunnels,
    in_parts,
    tunnels_subject,
)
from heliograph.errors import HeliographError

_WAITING: Final = 16
"""Questions that wait for their answer; who floods an agent is not answered."""

_log = structlog.get_logger()


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
        self._home, self._node, self._tunnels = home, node, tunnels
        self._subject, self._reply = tunnels_subject(cluster), ""
        self._questions: asyncio.Queue[Message] = asyncio.Queue(_WAITING)

    async def run(self) -> None:
        """Answer, for ever."""
        stop_observing = self._home.observe(self._observe)
        subscription = await self._home.subscribe(self._subject, self._take)
        try:
            while True:
                await self._answer(await self._questions.get())
        finally:
            stop_observing()
            await subscription.unsubscribe()

    def _take(self, question: Message) -> None:
        if question.reply and not self._questions.full():
            self._questions.put_nowait(question)

    async def _answer(self, question: Message) -> None:
        try:
            asked = decode_asked(question.payload)
            if asked.node not in {None, self._node}:
                return
            self._reply = question.reply
            for part in in_parts(self._node, self._tunnels()):
                await self._home.publish(question.reply, encode_tunnels(part))
        except MalformedTunnels as error:
            _log.warning("question not understood", error=str(error))
        except HeliographError as error:  # the bus went away: so did whoever asked
            _log.info("question not answered", error=str(error))

    def _observe(self, event: ConnectionEvent) -> None:
        refused = {self._subject.lower(): self._subject, self._reply.lower(): self._reply}
        if isinstance(event, Denied) and event.subject in refused:
            _log.warning(
                "questions not answered",
                error=f"the bus refuses this agent {event.operation} of {refused[event.subject]}, "
                f"so 'heliograph peers' learns nothing of node {self._node}; add it to users.conf",
            )
