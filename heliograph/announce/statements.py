"""Keeps what one program of a cluster states, of one kind of message, on the bus as it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from typing import Final, Generic, TypeVar

import msgspec

from heliograph.announce.announcer import Announcer, Origin
from heliograph.announce.reading import Owned, read_stream
from heliograph.bus import Connection
from heliograph.clock import now_ns
from heliograph.contract.messages import Message
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry

K = TypeVar("K", bound=Hashable)

_COMPARE_S: Final = 300.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a stream that one program owns.

    Attributes:
        cluster: Whose stream it is.
        kind: The kind of its messages.
        owned: Tells which of these are the program's, since others may state some as well.
    """

    cluster: ClusterId
    kind: Kind
    owned: Owned


class Statements(Generic[K]):
    """What one program of a cluster states, by the things `K` that it is about."""

    def __init__(
        self,
        home: Connection,
        part: Part,
        *,
        messages: Callable[[K], Mapping[Subject, Message]],
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare.

        Args:
            home: The bus on which the cluster publishes.
            part: Where the statements are.
            messages: Returns what is stated about a thing now.
            telemetry: Makes the spans of publications.
            metrics: Counts them.
        """
        self._home, self._part, self._messages = home, part, messages
        self._telemetry, self._metrics = telemetry, metrics
        self._announcer: Announcer | None = None
        self._due = asyncio.Event()
        self._complete = False

    def state(self, thing: K, *, live: bool = True) -> None:
        """State about a thing what is to be stated of it now; nothing withdraws it."""
        if self._announcer is not None:
            origin = Origin(seen_at_ns=now_ns(), live=live)
            self._announcer.announce(thing, self._messages(thing), origin)

    def repeat(self, thing: K) -> None:
        """State it though the stream holds it already: a sign of life of whoever states it."""
        if self._announcer is not None:
            origin = Origin(seen_at_ns=now_ns(), live=False)
            self._announcer.announce(thing, self._messages(thing), origin, again=True)

    def looked_at_everything(self) -> None:
        """Take that what an earlier incarnation stated, and does not stand now, is to go."""
        self._complete = True
        self._due.set()

    async def run(self, standing: Callable[[], Iterable[K]]) -> None:
        """Keep the bus right until cancelled; `standing` returns what there is to state about."""
        part = self._part
        reading = await read_stream(self._home, part.cluster, (part.kind,), part.owned)
        announcer = self._announcer = Announcer(
            self._home,
            reading,
            telemetry=self._telemetry,
            metrics=self._metrics,
            on_doubt=lambda _: self._due.set(),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(announcer.publisher.run())
                while True:
                    for thing in tuple(standing()):
                        self.state(thing, live=False)
                    if self._complete:
                        announcer.withdraw_leftovers(Origin(seen_at_ns=now_ns(), live=False))
                    await self._next_comparison()
                    await announcer.compare()
        finally:
            self._announcer = None

    async def _next_comparison(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMPARE_S):
                await self._due.wait()
        self._due.clear()
