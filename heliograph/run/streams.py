"""Keeps the streams of several clusters on a bus that they share: an administrator's process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from heliograph.bus import Connection, StreamSettings, ensure_stream
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name, stream_subjects
from heliograph.errors import RetryableError

_PERIOD_S: Final = 2.0
_log = structlog.get_logger()


async def keep_streams(
    connection: Connection, clusters: Sequence[ClusterId], *, replicas: int, once: bool
) -> None:
    """Create each cluster's stream, and again whenever the bus has lost its store.

    Members may not do that themselves on a shared bus: who may create or change streams can catch
    the messages of others.
    """
    made: dict[ClusterId, str] = {}
    while True:
        for cluster in clusters:
            await _ensure(connection, cluster, replicas, made)
        if once and len(made) == len(clusters):
            return
        await asyncio.sleep(_PERIOD_S)


async def _ensure(
    connection: Connection, cluster: ClusterId, replicas: int, made: dict[ClusterId, str]
) -> None:
    settings = StreamSettings(
        name=stream_name(cluster), subjects=stream_subjects(cluster), replicas=replicas
    )
    try:
        info = await ensure_stream(connection, settings)
    except RetryableError as error:
        _log.warning("stream not ensured", cluster=cluster, error=str(error))
        return
    if made.get(cluster) != info.created:
        made[cluster] = info.created
        _log.info("stream is there", cluster=cluster, stream=settings.name)
