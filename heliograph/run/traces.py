"""Asks watchers how a Service's changes travelled, over a bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from heliograph.announce.reading import read_stream
from heliograph.bus import Connection, PermissionDenied, ask
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    Kind,
    parse_subject,
)
from heliograph.contract.traces import (
    MalformedTrace,
    TraceAsked,
    TraceTold,
    decode_told,
    encode_trace,
    traces_subject,
)

_NAMES_S: Final = 3.0
"""How long to look for names that are near; without them the answer is as good."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking some clusters' watchers.

    Attributes:
        told: What they answered, by cluster; the changes of all parts together.
        silent: Clusters whose watchers did not answer, or not wholly.
        denied: Clusters whose watchers the bus does not let us ask.
    """

    told: tuple[TraceTold, ...]
    silent: tuple[ClusterId, ...]
    denied: tuple[ClusterId, ...]


async def ask_all(
    connection: Connection, clusters: Iterable[ClusterId], asked: TraceAsked, *, within_s: float
) -> Asked:
    """Ask the watchers of some clusters, all at the same time."""
    wanted = tuple(clusters)
    answers = await asyncio.gather(
        *(_ask(connection, cluster, asked, within_s) for cluster in wanted), return_exceptions=True
    )
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, PermissionDenied):
            raise answer
    found = dict(zip(wanted, answers, strict=True))
    return Asked(
        told=tuple(told for told in found.values() if isinstance(told, TraceTold)),
        silent=tuple(cluster for cluster, told in found.items() if told is None),
        denied=tuple(c for c, told in found.items() if isinstance(told, PermissionDenied)),
    )


async def _ask(
    connection: Connection, cluster: ClusterId, asked: TraceAsked, within_s: float
) -> TraceTold | None:
    """Return what a watcher answers; None if it does not, or not wholly.

    Raises:
        PermissionDenied: The bus does not let us ask.
    """
    parts: dict[int, TraceTold] = {}

    def enough(payload: bytes) -> bool:
        with suppress(MalformedTrace):
            part = decode_told(payload)
            parts[part.part] = part
        return _whole(parts)

    subject, question = traces_subject(cluster), encode_trace(asked)
    await ask(connection, subject, question, enough=enough, within_s=within_s)
    if not _whole(parts):
        return None
    changes = tuple(change for number in sorted(parts) for change in parts[number].changes)
    return msgspec.structs.replace(parts[0], parts=1, changes=changes)


def _whole(parts: dict[int, TraceTold]) -> bool:
    return 0 in parts and len(parts) == parts[0].parts


async def exported(connection: Connection, clusters: Iterable[ClusterId]) -> set[str]:
    """Return the Services that some clusters export, as NAMESPACE/NAME, as far as can be told."""
    known: set[str] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(_NAMES_S):
            for cluster in clusters:
                reading = await read_stream(connection, cluster, (Kind.SERVICE,))
                subjects = map(parse_subject, reading.live)
                known.update(f"{subject.namespace}/{subject.name}" for subject in subjects)
    return known
