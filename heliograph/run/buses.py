"""Connections to the buses of one program, or of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from heliograph.bus import BusUnreachable, Connection, ConnectionSettings, connect
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.errors import InputError
from heliograph.imports.consume import ImportBus


@asynccontextmanager
async def bus(settings: ConnectionSettings) -> AsyncIterator[Connection]:
    """Connect to a bus; one that cannot be reached at the start is bad input."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(connect(settings))
        except BusUnreachable as error:
            raise InputError(str(error)) from error
        yield connection


def imports(
    import_from: Sequence[str],
) -> list[tuple[tuple[str, ...], tuple[ClusterId, ...]]]:
    """Return (URLs, clusters) of each bus in "CLUSTER" or "CLUSTER=URL"; no URLs: the own bus."""
    by_url: dict[str, list[ClusterId]] = {}
    for entry in import_from:
        name, _, url = entry.partition("=")
        by_url.setdefault(url, []).append(parse_cluster_id(name))
    return [((url,) if url else (), tuple(clusters)) for url, clusters in by_url.items()]


class Buses(msgspec.Struct, frozen=True, kw_only=True):
    """The buses of one importing program: its own cluster's, and those to import from."""

    home: Connection
    imports: tuple[ImportBus, ...]


async def buses(
    stack: AsyncExitStack, at: Callable[..., ConnectionSettings], import_from: Sequence[str]
) -> Buses:
    """Connect; `at(urls)` is how to reach a bus, without URLs the own cluster's."""
    home = await stack.enter_async_context(bus(at()))
    if not import_from:
        return Buses(home=home, imports=(ImportBus(connection=home),))
    found = []
    for urls, clusters in imports(import_from):
        connection = home
        if urls:
            connection = await stack.enter_async_context(connect(at(urls), patient=True))
        found.append(ImportBus(connection=connection, clusters=clusters))
    return Buses(home=home, imports=tuple(found))
