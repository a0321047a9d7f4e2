"""`heliograph.subscribe` on a real bus: a whole picture, every change once, and no trouble made."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

import pytest

import heliograph
from heliograph.bus import Connection, EmbeddedServer, StreamSettings, ensure_stream
from heliograph.contract.messages import (
    ClusterAnnounced,
    ServiceExported,
    ServiceWithdrawn,
    encode,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject, stream_name, stream_subjects
from tests.bus.support import connected, eventually
from tests.support.announcing import announcing
from tests.support.builders import CREATED, EAST, subject

pytestmark = pytest.mark.nats

CART, TILL = subject(Kind.SERVICE, "cart"), subject(Kind.SERVICE, "till", "bank")
READY = ServiceExported(ready=True, exported_at=CREATED)
NOT_READY = ServiceExported(ready=False, exported_at=CREATED)
AT_LAST = ServiceExported(ready=True, exported_at=CREATED, endpoints="pods")


class Told:
    """What a subscriber was told, while it goes on."""

    def __init__(self, url: str, **wanted: Any) -> None:  # noqa: ANN401 - of subscribe
        self.events: list[heliograph.MeshEvent] = []
        self._subscribed = heliograph.subscribe(url, **wanted)
        self._task = asyncio.ensure_future(self._take())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    def words(self) -> list[str]:
        """Return the changes of things."""
        return [f"{one.change} {one.place}" for one in self.events if one.kind]

    def count(self, change: str) -> int:
        """Return how many events of a sort there were."""
        return sum(one.change == change for one in self.events)

    async def _take(self) -> None:
        async with aclosing(self._subscribed) as events:
            async for event in events:
                self.events.append(event)


async def taken(events: AsyncGenerator[heliograph.MeshEvent, None]) -> list[str]:
    """Return all changes of things, to the end."""
    return [f"{event.change} {event.place}" async for event in events if event.kind]


async def test_what_is_there_comes_first_then_every_change(
    server: EmbeddedServer, connection: Connection
) -> None:
    """With whose, when and by which publication; what was there is not live."""
    async with announcing(connection) as east:
        await east.announce("cart", {CART: READY})
        async with Told(server.url) as told:
            await eventually(lambda: told.count("synced"))
            await east.announce("cart", {CART: NOT_READY})
            await east.announce("cart", {})
            await eventually(lambda: told.count("withdrawn"))

    added, modified, withdrawn = (event for event in told.events if event.kind)
    assert (added.change, added.data, added.live) == ("added", READY, False)
    assert (modified.change, modified.data, modified.live) == ("modified", NOT_READY, True)
    assert (withdrawn.change, withdrawn.data, withdrawn.live) == ("withdrawn", None, True)
    assert {(e.cluster, e.kind, e.place) for e in (added, withdrawn)} == {
        (EAST, Kind.SERVICE, "shop/cart")
    }
    assert modified.id
    assert modified.time.startswith("2027-")


async def test_a_snapshot_ends(server: EmbeddedServer, connection: Connection) -> None:
    """Without `follow` the loop is over when all is told, also of several clusters, or none."""
    assert await taken(heliograph.subscribe(server.url, follow=False)) == []
    west = ClusterId("west")
    await ensure_stream(
        connection, StreamSettings(name=stream_name(west), subjects=stream_subjects(west))
    )
    async with announcing(connection) as east:
        await east.announce("cart", {CART: READY})

    assert await taken(heliograph.subscribe(server.url, follow=False)) == ["added shop/cart"]


async def test_only_what_is_wanted_is_told(server: EmbeddedServer, connection: Connection) -> None:
    """By cluster, by kind, by namespace."""
    async with announcing(connection) as east:
        await east.announce("cart", {CART: READY, TILL: READY})
        await connection.request("heliograph.v1.east.cluster.east", encode(ClusterAnnounced()))

    def subscribe(**wanted: Any) -> AsyncGenerator[heliograph.MeshEvent, None]:  # noqa: ANN401
        return heliograph.subscribe(server.url, follow=False, **wanted)

    assert await taken(subscribe(namespaces=["bank"])) == ["added bank/till"]
    assert await taken(subscribe(kinds=["cluster"])) == ["added east"]
    assert await taken(subscribe(kinds=["node"])) == []
    assert await taken(subscribe(clusters=["west"])) == []
    with pytest.raises(heliograph.InputError, match=r"'services' is no kind .* mean service"):
        await taken(subscribe(kinds=["services"]))


async def test_a_cluster_that_comes_later_is_heard(
    server: EmbeddedServer, connection: Connection
) -> None:
    """Nobody has to subscribe again."""
    west = ClusterId("west")
    there = Subject(cluster=west, kind=Kind.SERVICE, namespace="shop", name="desk")
    async with Told(server.url) as told:
        await eventually(lambda: told.count("synced"))
        await ensure_stream(
            connection, StreamSettings(name=stream_name(west), subjects=stream_subjects(west))
        )
        await connection.request("heliograph.v1.west.cluster.west", encode(ClusterAnnounced()))
        await connection.request(str(there), encode(READY))
        await eventually(lambda: "added shop/desk" in told.words())


async def test_an_outage_is_told_and_what_changed_meanwhile_after_it(
    server: EmbeddedServer, connection: Connection
) -> None:
    """Once the bus is back; what is as it was is not told again."""
    async with Told(server.url) as told:
        await connection.request(str(CART), encode(READY))
        await connection.request(str(TILL), encode(READY))
        await eventually(lambda: told.count("added") == 2)
        server.restart()
        await eventually(lambda: told.count("interrupted"))
        async with connected(server.url) as again:
            await again.request(str(CART), encode(NOT_READY))
        await eventually(lambda: told.count("modified"))
        await eventually(lambda: told.count("synced") == 2)

    assert told.words() == ["added shop/cart", "added bank/till", "modified shop/cart"]


async def test_a_slow_subscriber_slows_nobody_and_needs_no_memory(
    server: EmbeddedServer, connection: Connection
) -> None:
    """Twenty thousand changes of ten Services pass by one that does not read; it sees the last."""
    services = [subject(Kind.SERVICE, f"s{n}") for n in range(10)]
    states = {True: encode(READY), False: encode(NOT_READY)}
    events = heliograph.subscribe(server.url, kinds=["service"])
    async with aclosing(events):
        await connection.request(str(services[0]), states[True])
        await anext(events)
        tracemalloc.start()
        for number in range(20_000):
            await connection.publish(str(services[number % 10]), states[number // 10 % 2 == 0])
        for one in services:
            await connection.request(str(one), encode(AT_LAST))
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < 30 << 20

        last: dict[str, Any] = {}
        async for event in events:
            if event.kind:
                last[event.name] = event.data
            if len(last) == 10 and all(state == AT_LAST for state in last.values()):
                break


async def test_a_subscriber_that_stops_leaves_nothing(
    server: EmbeddedServer, connection: Connection
) -> None:
    """A loop that is left early ends its connection."""
    before = asyncio.all_tasks()
    async with aclosing(heliograph.subscribe(server.url)) as events:
        await connection.request(str(CART), encode(READY))
        await anext(events)
    assert asyncio.all_tasks() <= before


async def test_without_a_bus_one_sentence_says_so() -> None:
    """At the start it is an error; it names the URL."""
    settings = heliograph.ConnectionSettings(
        urls=("nats://127.0.0.1:1",), name="test", connect_timeout_s=0.1
    )
    with pytest.raises(heliograph.BusUnreachable, match=r"nats://127\.0\.0\.1:1 cannot be"):
        await anext(heliograph.subscribe(settings))


async def test_what_is_no_message_is_passed_over(
    server: EmbeddedServer, connection: Connection
) -> None:
    """Garbage in a stream, or another cluster's name in it, stops nothing."""
    rubbish = itertools.chain.from_iterable(
        (str(CART), payload) for payload in (b"{", b"\xff", b'{"type":"service.exported.v9"}')
    )
    for where, payload in zip(*[iter(rubbish)] * 2, strict=True):
        await connection.request(str(where), payload)  # type: ignore[arg-type]
    await connection.request(str(TILL), encode(ServiceWithdrawn()))
    await connection.request("heliograph.v1.east.service.shop.desk", encode(READY))

    assert await taken(heliograph.subscribe(server.url, follow=False)) == ["added shop/desk"]
