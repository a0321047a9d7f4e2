"""The watcher's own stream: created again whenever it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from heliograph.bus import Connection, StreamSettings, ensure_stream
from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name, stream_subjects
from heliograph.errors import RetryableError
from services.watcher.settings import WatcherSettings

_KEEP_S: Final = 0.5
"""How often the stream is looked for while it is read; that takes less, unless it was lost."""

_AGAIN_S: Final = 0.2

_log = structlog.get_logger()


class OwnStream:
    """The stream of one exporting cluster."""

    def __init__(
        self, settings: WatcherSettings, cluster: ClusterId, connection: Connection
    ) -> None:
        self._cluster, self._connection = cluster, connection
        self._ours = settings.create_stream
        self._wanted = StreamSettings(
            name=stream_name(cluster),
            subjects=stream_subjects(cluster),
            replicas=settings.stream_replicas,
        )

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Create the stream if need be, and again when it is lost during the body."""
        await self._ensure()
        async with alongside(self._keep()):
            yield

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_S)
            await self._ensure()

    async def _ensure(self) -> None:
        """Create the stream if that is ours to do; wait for it otherwise."""
        if not self._ours:
            return
        while True:
            try:
                await ensure_stream(self._connection, self._wanted)
            except RetryableError as error:
                _log.warning("stream not created yet", cluster=self._cluster, error=str(error))
                await asyncio.sleep(_AGAIN_S)
            else:
                return
