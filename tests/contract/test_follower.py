"""A stranger's program in Go, made from the contract alone, tells what `subscribe` tells."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

import heliograph
from heliograph.bus import Connection, EmbeddedServer, StreamSettings, ensure_stream
from heliograph.bus.background import alongside
from heliograph.contract.digest import LiveSet, fingerprint
from heliograph.contract.messages import (
    ClusterAnnounced,
    ClusterWithdrawn,
    Message,
    NodeAnnounced,
    NodeWithdrawn,
    RefusalStated,
    ServiceExported,
    encode,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject, stream_name, stream_subjects
from heliograph.lab.controlplane.command import spawned
from tests.bus.support import connected, embedded, eventually
from tests.support.announcing import announcing, make_stream
from tests.support.builders import CREATED, EAST, KEY, subject
from tests.support.published import go_program

pytestmark = [pytest.mark.nats, pytest.mark.timeout(400)]  # the first time, it is built

MODULE = Path(__file__).parents[2] / "docs" / "examples" / "follow"
CART, TILL = subject(Kind.SERVICE, "cart"), subject(Kind.SERVICE, "till", "bank")
LONG = subject(Kind.SERVICE, "a-name-of-many-letters", "a-namespace-of-many-letters-as-well")
NODE, LEASE = subject(Kind.NODE, "n1.eu"), Subject(cluster=EAST, kind=Kind.CLUSTER, name=EAST)
REFUSED = Subject(cluster=EAST, kind=Kind.REFUSAL, name="north")
READY = ServiceExported(ready=True, exported_at=CREATED)
NOT_READY = ServiceExported(ready=False, exported_at=CREATED)
REFUSAL = RefusalStated(
    exporting="north", kind="cluster", name="north", reason="Overlap", message=""
)


class Both:
    """What the program printed, and what `heliograph.subscribe` told, as the same lines."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.told: list[str] = []
        self.replays = 0

    async def print(self, process: asyncio.subprocess.Process) -> None:
        """Take what the program prints; what it says to people goes there too, and is apart."""
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode().strip()
            if text.startswith(("added", "modified", "withdrawn")):
                self.printed.append(text)
            self.replays += text.startswith("synced")

    async def tell(self, url: str) -> None:
        """Take what is told."""
        async with aclosing(heliograph.subscribe(url)) as events:
            async for event in events:
                if event.kind:
                    self.told.append(f"{event.change} {event.cluster} {event.kind} {event.place}")

    async def say(self, *lines: str) -> None:
        """Wait until both have said these lines as the last ones."""
        wanted = list(lines)
        for said in (self.printed, self.told):
            await eventually(lambda said=said: said[-len(wanted) :] == wanted)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Return a running server."""
    async with embedded(tmp_path / "nats") as running:
        yield running


@asynccontextmanager
async def following(server: EmbeddedServer) -> AsyncIterator[Both]:
    """Run both beside the body."""
    command = [await go_program(MODULE), "-nats", server.url]
    both = Both()
    async with (
        spawned(command, environment=os.environ) as process,
        alongside(both.print(process)),
        alongside(both.tell(server.url)),
    ):
        yield both


async def put(connection: Connection, where: Subject, message: Message) -> None:
    """Store a message, without headers."""
    await connection.request(str(where), encode(message))


def lease(live: dict[Subject, Message]) -> ClusterAnnounced:
    """Return what the cluster says of itself when its stream holds just these messages."""
    digests = {}
    for kind in (Kind.NODE, Kind.SERVICE, Kind.ENDPOINTS):
        counted = LiveSet[str]()
        for where, message in live.items():
            if where.kind is kind:
                counted.put(str(where), fingerprint(str(where), encode(message)))
        digests[kind.value] = counted.digest()
    return ClusterAnnounced(digests=digests)


async def test_what_is_there_then_every_change(server: EmbeddedServer) -> None:
    """Added, modified, withdrawn; also of a cluster that comes later."""
    async with connected(server.url) as connection:
        await make_stream(connection)
        async with announcing(connection) as east, following(server) as both:
            await east.announce("cart", {CART: READY, NODE: NodeAnnounced(public_key=KEY)})
            await both.say("added east service shop/cart", "added east node n1.eu")
            await east.announce("cart", {CART: NOT_READY})
            await both.say("withdrawn east node n1.eu", "modified east service shop/cart")
            await put(connection, REFUSED, REFUSAL)
            await both.say("added east refusal north")

            west = ClusterId("west")
            settings = StreamSettings(name=stream_name(west), subjects=stream_subjects(west))
            await ensure_stream(connection, settings)
            there = Subject(cluster=west, kind=Kind.CLUSTER, name=west)
            await put(connection, there, ClusterAnnounced())
            await both.say("added west cluster west")
            await put(connection, there, lease({}))
            await put(connection, there, ClusterAnnounced(version="2"))
            await both.say("added west cluster west", "modified west cluster west")

            await put(connection, there, ClusterWithdrawn())
            await both.say("withdrawn west cluster west")
    assert both.printed == both.told


async def test_an_outage_then_what_changed_meanwhile(server: EmbeddedServer) -> None:
    """And what vanished unseen, when the cluster's digests say that nothing else is missing."""
    async with connected(server.url) as connection:
        await make_stream(connection)
        for where in (CART, TILL, LONG):
            await put(connection, where, READY)
    async with following(server) as both:
        await eventually(lambda: len(both.printed) == len(both.told) == 3)
        server.restart()
        async with connected(server.url) as connection:
            for where in (CART, TILL):
                purge = f'{{"filter":"{where}"}}'.encode()
                await connection.request(f"$JS.API.STREAM.PURGE.{stream_name(EAST)}", purge)
            await put(connection, NODE, NodeAnnounced(public_key=KEY))
            await eventually(lambda: both.replays == 2)
            await both.say("added east node n1.eu")
            await put(connection, CART, READY)  # it was there, so nothing is new
            await put(connection, NODE, NodeWithdrawn())
            await both.say("withdrawn east node n1.eu")
            await put(connection, LEASE, lease({CART: READY, LONG: READY}))
            await both.say("added east cluster east", "withdrawn east service bank/till")
    assert both.printed == both.told


async def test_a_lost_store_withdraws_nothing(server: EmbeddedServer) -> None:
    """An empty stream proves nothing, until the cluster fills it again and says so."""
    async with connected(server.url) as connection:
        await make_stream(connection)
        await put(connection, CART, READY)
        await put(connection, TILL, READY)
    async with following(server) as both:
        await eventually(lambda: len(both.printed) == len(both.told) == 2)
        server.restart(keep_store=False)
        async with connected(server.url) as connection:
            await make_stream(connection)
            await eventually(lambda: both.replays == 2)
            await put(connection, CART, NOT_READY)
            await both.say("modified east service shop/cart")
            await put(connection, LEASE, lease({CART: NOT_READY}))
            await both.say("added east cluster east", "withdrawn east service bank/till")
    assert both.printed == both.told
