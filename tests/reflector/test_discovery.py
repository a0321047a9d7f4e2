from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from heliograph.bus import (
    Connection,
    Message,
    PermissionDenied,
    Reply,
    RequestTimeout,
    Subscription,
)
from heliograph.errors import HeliographError
from heliograph.imports.consume import Discovery, ImportBus
from tests.support.mirrors import EAST, SOUTH
from tests.support.virtual_time import run_virtually


class FakeBus:
    """A connection that answers which streams there are, and counts who listens.

    Attributes:
        streams: Their names, or the error that is raised instead.
        asked: How often they were asked for.
        listeners: Who is told of leases.
    """

    def __init__(self, *streams: str) -> None:
        self.streams: tuple[str, ...] | HeliographError = streams
        self.asked = 0
        self.listeners: list[Callable[[Message], None]] = []

    async def request(self, subject: str, payload: bytes = b"", *, timeout_s: float = 2.0) -> Reply:
        """Answer STREAM.NAMES."""
        del subject, payload, timeout_s
        self.asked += 1
        if isinstance(self.streams, HeliographError):
            raise self.streams
        answer = msgspec.json.encode({"streams": list(self.streams)})
        return Reply(subject="", payload=answer, reply="", headers={})

    async def subscribe(self, subject: str, callback: Callable[[Message], None]) -> Subscription:
        """Tell of leases."""
        self.listeners.append(callback)
        return Subscription(cast("Connection", self), subject, callback)

    async def drop(self, subscription: Subscription) -> None:
        """Tell no more."""
        self.listeners.remove(subscription.callback)

    def renew(self, cluster: str) -> None:
        """Publish a lease."""
        subject = f"heliograph.v1.{cluster}.cluster.{cluster}"
        for listener in self.listeners:
            listener(Message(subject=subject, payload=b"{}", headers={}, reply=""))


class Discovered:
    """A discovery in the background, and what it has found."""

    def __init__(self, bus: FakeBus, *clusters: str) -> None:
        self.found: list[str] = []
        connection = cast("Connection", bus)
        imports = ImportBus(connection=connection, clusters=clusters)  # type: ignore[arg-type]
        self.discovery = Discovery(imports, found=lambda _, cluster: self.found.append(cluster))

    async def run_for(self, seconds: float) -> None:
        """Let it run for so long."""
        task = asyncio.ensure_future(self.discovery.run())
        await asyncio.sleep(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_streams_of_clusters_are_found_once() -> None:
    """Other streams of the same server are none of ours."""
    bus = FakeBus("HELIOGRAPH_east", "ORDERS", "HELIOGRAPH_No_Label", "HELIOGRAPH_south")
    discovered = Discovered(bus)

    run_virtually(discovered.run_for(20))

    assert discovered.found == [EAST, SOUTH]
    assert bus.asked > 2


def test_a_cluster_that_speaks_up_is_looked_for_at_once() -> None:
    """Its lease is heard before the next look is due; those of known clusters cost nothing."""
    bus = FakeBus("HELIOGRAPH_east")
    discovered = Discovered(bus)

    async def scenario() -> None:
        running = asyncio.ensure_future(discovered.run_for(2))
        await asyncio.sleep(1)
        bus.renew("east")
        await asyncio.sleep(0)
        assert bus.asked == 1
        bus.streams = ("HELIOGRAPH_east", "HELIOGRAPH_south")
        bus.renew("south")
        await running

    run_virtually(scenario())
    assert discovered.found == [EAST, SOUTH]
    assert bus.asked == 2


def test_configured_clusters_are_not_looked_for() -> None:
    """Who names them needs no right to list streams."""
    bus = FakeBus()
    discovered = Discovered(bus, "east")

    run_virtually(discovered.run_for(1))

    assert (discovered.found, bus.asked, bus.listeners) == ([EAST], 0, [])


def test_a_bus_that_refuses_to_list_is_asked_again_and_blocks_nobody() -> None:
    """It is said once; a bus that is merely away says nothing by that."""
    bus = FakeBus()
    discovered = Discovered(bus)
    denied = PermissionDenied("publish", "$JS.API.STREAM.NAMES")

    async def scenario() -> None:
        running = asyncio.ensure_future(discovered.run_for(40))
        for answer in (RequestTimeout("names", 2), denied):
            bus.streams = answer
            await asyncio.sleep(12)
        bus.streams = ("HELIOGRAPH_east",)
        await running

    with structlog.testing.capture_logs() as logs:
        run_virtually(scenario())

    assert discovered.found == [EAST]
    assert [(log["log_level"], log["error"]) for log in logs] == [("error", str(denied))]


def test_nobody_listens_when_it_is_over() -> None:
    """The connection outlives the reflector in a process that runs several programs."""
    bus = FakeBus()

    run_virtually(Discovered(bus).run_for(1))

    assert bus.listeners == []
