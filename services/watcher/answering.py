"""Answers on the bus whoever of the own cluster asks how a Service's changes travelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heliograph import bus
from heliograph.bus import Connection, Message
from heliograph.clock import now_ns, rfc3339
from heliograph.contract.names import ClusterId
from heliograph.contract.traces import (
    TraceTold,
    decode_asked,
    encode_trace,
    in_parts,
    traces_subject,
)
from services.watcher.table import ServiceKey
from services.watcher.trail import Trail


class TraceAnswering:
    """The answers of one cluster's watcher."""

    def __init__(
        self,
        home: Connection,
        cluster: ClusterId,
        trail: Trail,
        exported: Callable[[ServiceKey], bool],
    ) -> None:
        """Prepare; `exported` tells whether a Service is exported now."""
        self._cluster, self._trail, self._exported = cluster, trail, exported
        self._since = rfc3339(now_ns())
        learns_nothing = f"'heliograph trace' learns nothing of cluster {cluster}"
        self._answering = bus.Answering(
            home, (traces_subject(cluster),), self._answer, learns_nothing
        )

    async def run(self) -> None:
        """Answer, for ever."""
        await self._answering.run()

    def _answer(self, question: Message) -> Iterator[bytes]:
        asked = decode_asked(question.payload)
        key = ServiceKey(asked.namespace, asked.name)
        told = TraceTold(cluster=self._cluster, exported=self._exported(key), since=self._since)
        yield from map(encode_trace, in_parts(told, self._trail.of(key)))
