"""Reads the last message of single subjects of a stream, however much else it holds.

By a consumer with these subjects as its filter, and so with no right that the programs lack:
JetStream's direct look-ups (`DIRECT.GET`, `STREAM.MSG.GET`) would need rights of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Final

from heliograph.bus import (
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Interrupted,
    SnapshotComplete,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name
from heliograph.errors import RetryableError

_WITHIN_S: Final = 2.0


class NotRead(RetryableError):
    """A stream cannot be read at this moment."""

    def __init__(self, cluster: ClusterId, why: str) -> None:
        super().__init__(f"the stream of cluster {cluster} cannot be read: {why.rstrip('.')}")
        self.cluster = cluster


async def read_last(
    connection: Connection,
    cluster: ClusterId,
    subjects: Iterable[str],
    *,
    within_s: float = _WITHIN_S,
) -> Mapping[str, Delivery]:
    """Return the last message of each subject that has one, withdrawals included.

    Args:
        connection: The bus.
        cluster: Whose stream.
        subjects: Subjects, or filters; no two may overlap.
        within_s: How long to wait for the stream, seconds.

    Raises:
        NotRead: There is no such stream, no right to read it, or no answer.
    """
    settings = ConsumerSettings(
        stream=stream_name(cluster),
        filter_subjects=tuple(dict.fromkeys(subjects)),
        name_prefix="single",
    )
    try:
        async with asyncio.timeout(within_s):
            return await _read(connection, cluster, settings)
    except TimeoutError:
        raise NotRead(cluster, f"no answer within {within_s:g} s") from None


async def _read(
    connection: Connection, cluster: ClusterId, settings: ConsumerSettings
) -> Mapping[str, Delivery]:
    found: dict[str, Delivery] = {}
    async with aclosing(Consumer(connection, settings).events()) as events:
        async for event in events:
            match event:
                case Delivery():
                    found[event.subject] = event
                case SnapshotComplete():
                    break
                case Interrupted(reason=reason):
                    raise NotRead(cluster, reason)
                case _:
                    pass
    return found
