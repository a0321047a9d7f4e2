"""`heliograph.subscribe`: the changes of the mesh, for programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

from heliograph.bus import ConnectionSettings, connect
from heliograph.contract.names import parse_cluster_id
from heliograph.contract.subjects import Kind
from heliograph.errors import InputError
from heliograph.mesh.event import MeshEvent
from heliograph.mesh.follow import Events, Wanted, follow
from heliograph.nearest import did_you_mean

_WAITING: Final = 1000
"""Events that were read and not taken yet."""


async def subscribe(
    bus: str | ConnectionSettings,
    *,
    clusters: Iterable[str] = (),
    kinds: Iterable[str] = (),
    namespaces: Iterable[str] = (),
    follow: bool = True,
) -> AsyncGenerator[MeshEvent, None]:
    """Yield what there is in the mesh, then what changes.

    Use it as `async for event in heliograph.subscribe(url)`. Each change comes once, and
    reconnecting is not the caller's concern: after an outage (`interrupted`) come the changes that
    happened meanwhile, and `synced`. Of quick changes of one thing a slow subscriber sees the last
    one; it slows nobody down, and memory does not grow. Leave early by `break`;
    `contextlib.aclosing` then ends the connection at once.

    Args:
        bus: URL of a NATS server, such as "nats://127.0.0.1:4222", or how to reach it.
        clusters: Ids of the clusters to hear of; without, of all, also of those that come later.
        kinds: "cluster", "node", "service", "endpoints", "link", "refusal"; without, all.
        namespaces: Only what is in these; without, all, and what has no namespace.
        follow: Whether to go on after what is there.

    Raises:
        InputError: A cluster id or a kind is none.
        BusUnreachable: No server answers at the first attempt; later, it is tried for ever.
    """
    wanted = Wanted(
        clusters=tuple(map(parse_cluster_id, clusters)),
        kinds=parse_kinds(kinds),
        namespaces=frozenset(namespaces),
        follow=follow,
    )
    settings = bus if isinstance(bus, ConnectionSettings) else _settings(bus)
    events: Events = asyncio.Queue(_WAITING)
    # One task has the connection and its readers: a generator is resumed by whoever calls it, and
    # task groups must not be.
    reading = asyncio.ensure_future(_read(settings, wanted, events))
    try:
        while (event := await _next(events, reading)) is not None:
            yield event
    finally:
        reading.cancel()
        await asyncio.wait({reading})


def parse_kinds(names: Iterable[str]) -> tuple[Kind, ...]:
    """Return the kinds of these names; all if there are none.

    Raises:
        InputError: A name is none.
    """
    found = tuple(names)
    for name in found:
        if name not in set(Kind):
            raise InputError(f"{name!r} is no kind of mesh event{did_you_mean(name, Kind)}")
    return tuple(map(Kind, found)) or tuple(Kind)


def _settings(url: str) -> ConnectionSettings:
    return ConnectionSettings(urls=(url,), name="heliograph.subscribe")


async def _read(settings: ConnectionSettings, wanted: Wanted, events: Events) -> None:
    async with connect(settings) as connection:
        await follow(connection, wanted, events)


async def _next(events: Events, reading: asyncio.Future[None]) -> MeshEvent | None:
    """Return the next event; None after the last one.

    Raises:
        HeliographError: Reading failed.
    """
    if not events.empty():
        return events.get_nowait()
    getting = asyncio.ensure_future(events.get())
    both: set[asyncio.Future[Any]] = {getting, reading}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
    finally:
        getting.cancel()
    if not events.empty():
        return events.get_nowait()
    reading.result()
    return None
