"""What the tests of the bus share: a reader that folds a table, a writer, and waiting."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from heliograph.bus import (
    BusEvent,
    Connection,
    ConnectionSettings,
    Consumer,
    ConsumerSettings,
    Delivery,
    EmbeddedServer,
    Interrupted,
    Message,
    Publication,
    Publisher,
    ServerSettings,
    SnapshotBegun,
    SnapshotComplete,
    Stored,
    StreamSettings,
    Subscription,
    connect,
    stream_info,
)
from heliograph.bus.background import alongside

STREAM = "HELIOGRAPH_east"
STREAM_SETTINGS = StreamSettings(name=STREAM, subjects=("east.>",))


def embedded(directory: Path, **settings: Any) -> EmbeddedServer:  # noqa: ANN401
    """Return a server; without fsync, as no test pulls the plug."""
    return EmbeddedServer(ServerSettings(directory=directory, sync_interval="2m", **settings))


def to(url: str, **settings: Any) -> ConnectionSettings:  # noqa: ANN401
    """Return settings for a connection of a test."""
    return ConnectionSettings(urls=(url,), name="test", **settings)


@contextlib.asynccontextmanager
async def connected(url: str, **settings: Any) -> AsyncIterator[Connection]:  # noqa: ANN401
    """Connect; outages are part of the tests, so warnings go nowhere."""
    async with connect(to(url, **settings), on_warning=lambda _: None) as connection:
        yield connection


async def eventually(condition: Callable[[], object], timeout_s: float = 15) -> float:
    """Wait until the condition holds; returns how long that took, in seconds."""
    began_s = time.monotonic()
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions of all kinds, also of other processes
            await asyncio.sleep(0.002)
    return time.monotonic() - began_s


async def messages_in_stream(connection: Connection, count: int) -> None:
    """Wait until the stream holds so many messages; expiry tells nobody, so ask."""
    async with asyncio.timeout(15):
        while (await stream_info(connection, STREAM)).messages != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Reading:
    """Folds a stream into a table, as an importer does; keeps all that it was told."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.events: list[BusEvent] = []
        self.table: dict[str, bytes] = {}
        self.created: list[str] = []
        self.complete = False

    @property
    def interruptions(self) -> list[str]:
        """The reasons given so far."""
        return [event.reason for event in self.events if isinstance(event, Interrupted)]

    @property
    def deliveries(self) -> list[Delivery]:
        """The deliveries so far, those of all replays."""
        return [event for event in self.events if isinstance(event, Delivery)]

    async def run(self) -> None:
        """Read for ever."""
        async with contextlib.aclosing(self.consumer.events()) as events:
            async for event in events:
                self.take(event)

    def take(self, event: BusEvent) -> None:
        """Fold one event; `complete` may only follow a beginning, as for any reader."""
        self.events.append(event)
        match event:
            case SnapshotBegun():
                self.table = {}
                self.created.append(event.stream_created)
                self.complete = False
            case Delivery():
                assert event.in_snapshot != self.complete
                self.table[event.subject] = event.payload
            case SnapshotComplete():
                assert not self.complete
                self.complete = True
            case Interrupted():
                self.complete = False


@contextlib.asynccontextmanager
async def reading(
    connection: Connection,
    *filters: str,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Reading]:
    """Read the stream in the background."""
    given = {"stream": STREAM, "name_prefix": "test", "heartbeat_s": 0.3, **settings}
    wanted = ConsumerSettings(filter_subjects=filters or ("east.>",), **given)
    reader = Reading(Consumer(connection, wanted))
    async with alongside(reader.run()):
        yield reader


class Writing:
    """A publisher with what it told its owner."""

    def __init__(self, connection: Connection, epoch: int) -> None:
        self.stored: list[Stored] = []
        self.doubts: list[str] = []
        self.publisher = Publisher(connection, epoch, self.stored.append, self.doubts.append)

    def offer(self, subject: str, payload: str = "", **fields: Any) -> None:  # noqa: ANN401
        """Offer a value."""
        self.publisher.offer(Publication(subject=subject, payload=payload.encode(), **fields))

    async def settled(self, timeout_s: float = 15) -> None:
        """Wait until all that was offered is stored."""
        assert await self.publisher.drain(timeout_s), self.doubts


@contextlib.asynccontextmanager
async def writing(connection: Connection, epoch: int = 1) -> AsyncIterator[Writing]:
    """Publish in the background."""
    writer = Writing(connection, epoch)
    async with alongside(writer.publisher.run()):
        yield writer


class Meddler:
    """A connection on which `meddle` may lose, repeat or change what subscriptions receive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.meddle: Callable[[Message], list[Message]] = lambda message: [message]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Be the connection in all other respects."""
        return getattr(self._connection, name)

    async def subscribe(self, subject: str, callback: Callable[[Message], None]) -> Subscription:
        """Subscribe by way of `meddle`."""

        def meddled(message: Message) -> None:
            for changed in self.meddle(message):
                callback(changed)

        return await self._connection.subscribe(subject, meddled)
