"""Looks at a ClusterSet over its bus: a snapshot of all streams, and what programs answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import msgspec

from heliograph.bus import Connection, Message, stream_info
from heliograph.bus.micro import ROOT
from heliograph.clock import now_ns, parse_rfc3339
from heliograph.contract.names import ClusterId
from heliograph.contract.programs import ENDPOINT, ProgramStatus
from heliograph.contract.subjects import Kind, stream_name
from heliograph.errors import HeliographError
from heliograph.imports.consume import clusters_on
from heliograph.mesh.event import MeshEvent
from heliograph.mesh.follow import Events, Wanted, follow
from heliograph.overview.facts import ClusterFacts, MeshFacts, fold

_ANSWER_S: Final = 1.0
_QUIET_S: Final = 0.25
"""Who answers does so within milliseconds; nobody tells how many there are."""

_KINDS: Final = (Kind.CLUSTER, Kind.NODE, Kind.SERVICE, Kind.LINK, Kind.REFUSAL)


class _Endpoint(msgspec.Struct, frozen=True):
    name: str
    data: ProgramStatus | None = None


class _Stats(msgspec.Struct, frozen=True):
    endpoints: tuple[_Endpoint, ...] = ()


async def look(connection: Connection) -> MeshFacts:
    """Return what there is on a bus.

    Raises:
        HeliographError: The bus does not say which clusters there are.
    """
    clusters = await clusters_on(connection)
    events, programs, bus_ns = await asyncio.gather(
        _snapshot(connection, clusters), ask_programs(connection), _bus_now(connection, clusters)
    )
    found = fold(events, now_ns=bus_ns)
    facts = {c: found.get(c) or ClusterFacts(cluster=c) for c in sorted(clusters)}
    return MeshFacts(clusters=facts, programs=programs)


async def ask_programs(connection: Connection) -> tuple[ProgramStatus, ...]:
    """Return what the programs of all clusters on a bus answer, as far as they may."""
    found: list[ProgramStatus] = []
    answered = asyncio.Event()

    def take(message: Message) -> None:
        answered.set()
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            stats = msgspec.json.decode(message.payload, type=_Stats)
            found.extend(one.data for one in stats.endpoints if one.name == ENDPOINT and one.data)

    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox, take)
    try:
        await connection.publish(f"{ROOT}.STATS", reply=inbox)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                await answered.wait()
                while answered.is_set():
                    answered.clear()
                    await asyncio.sleep(_QUIET_S)
    finally:
        await subscription.unsubscribe()
    return tuple(found)


async def _snapshot(connection: Connection, clusters: tuple[ClusterId, ...]) -> list[MeshEvent]:
    """Return all that the clusters' streams hold, but for backends."""
    if not clusters:
        return []
    events: Events = asyncio.Queue()  # without a bound: it is all to be kept anyway
    await follow(connection, Wanted(clusters=clusters, kinds=_KINDS, follow=False), events)
    return [events.get_nowait() for _ in range(events.qsize())]


async def _bus_now(connection: Connection, clusters: tuple[ClusterId, ...]) -> int:
    """Return the bus's clock, nanoseconds since the Unix epoch; ours if it does not say."""
    for cluster in clusters[:1]:
        with suppress(HeliographError):
            said = parse_rfc3339((await stream_info(connection, stream_name(cluster))).now)
            if said is not None:
                return said
    return now_ns()
