"""An announcer that runs, and what its stream holds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from heliograph import telemetry
from heliograph.announce.announcer import Announcer, Origin
from heliograph.announce.reading import read_stream
from heliograph.bus import (
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    SnapshotComplete,
    StreamSettings,
    ensure_stream,
)
from heliograph.bus.background import alongside
from heliograph.contract.messages import Message
from heliograph.contract.subjects import Kind, Subject, stream_name, stream_subjects
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from tests.support.builders import EAST

KINDS = (Kind.NODE, Kind.SERVICE)
CHANGE = Origin(seen_at_ns=1_800_000_000_000_000_000)
COMPARISON = Origin(seen_at_ns=1_800_000_000_000_000_000, live=False)


async def make_stream(connection: Connection) -> None:
    """Create the stream of cluster east."""
    await ensure_stream(
        connection, StreamSettings(name=stream_name(EAST), subjects=stream_subjects(EAST))
    )


class Announcing:
    """An announcer with what it said."""

    def __init__(self, announcer: Announcer, metrics: Metrics, doubts: list[str]) -> None:
        self.announcer, self.metrics, self.doubts = announcer, metrics, doubts

    async def announce(
        self, thing: str, messages: Mapping[Subject, Message], origin: Origin = CHANGE
    ) -> None:
        """Announce, and wait until it is stored."""
        self.announcer.announce(thing, messages, origin)
        await self.announcer.publisher.drain(10)

    @property
    def stored(self) -> int:
        """How many publications of nodes and Services were stored."""
        name = "heliograph_publications_total"
        values = [self.metrics.registry.get_sample_value(name, {"kind": k}) for k in KINDS]
        return int(sum(value or 0 for value in values))


@contextlib.asynccontextmanager
async def announcing(
    connection: Connection, traces: Telemetry | None = None
) -> AsyncIterator[Announcing]:
    """Run an announcer that begins with what the stream holds."""
    metrics, doubts = Metrics("watcher", EAST), list[str]()
    announcer = Announcer(
        connection,
        await read_stream(connection, EAST, KINDS),
        telemetry=traces or telemetry.disabled(),
        metrics=metrics,
        on_doubt=doubts.append,
    )
    async with alongside(announcer.publisher.run()):
        yield Announcing(announcer, metrics, doubts)


async def deliveries(connection: Connection) -> dict[str, Delivery]:
    """Return the last message of every subject in the stream."""
    settings = ConsumerSettings(
        stream=stream_name(EAST), filter_subjects=stream_subjects(EAST), name_prefix="test"
    )
    found: dict[str, Delivery] = {}
    async with contextlib.aclosing(Consumer(connection, settings).events()) as events:
        async for event in events:
            if isinstance(event, Delivery):
                found[event.subject] = event
            if isinstance(event, SnapshotComplete):
                break
    return found
