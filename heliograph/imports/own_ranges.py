"""Learns the ranges of the own cluster: from its API server at the start, then from its watcher."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final, TypeVar

import structlog

from heliograph.admission.declaration import declaration_of
from heliograph.backoff import Backoff
from heliograph.bus import Connection, Consumer, ConsumerSettings, Delivery
from heliograph.contract.headers import epoch_of
from heliograph.contract.messages import ClusterAnnounced, MalformedMessage, decode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    Kind,
    MalformedSubject,
    kind_filter,
    parse_subject,
    stream_name,
)
from heliograph.errors import HeliographError, RetryableError
from heliograph.kube.client import KubeClient
from heliograph.membership.admissions import Admissions, own_declaration

T = TypeVar("T")

_BACKOFF: Final = Backoff(initial_s=0.1, limit_s=10.0)
_MISSING_RIGHT_S: Final = 30.0
WORD_S: Final = 3.0
"""How long the watcher is waited for where the API server contradicts the record."""

_log = structlog.get_logger()


class OwnRanges:
    """Tells the admissions of one importing cluster what its own ranges are.

    The watcher's word counts, since it heeds settings; but it may be away, and nothing is written
    before own ranges are known.
    """

    def __init__(
        self,
        cluster: ClusterId,
        admissions: Admissions,
        *,
        client: KubeClient,
        home: Connection,
        program: str,
    ) -> None:
        """Prepare.

        Args:
            cluster: The own cluster's id.
            admissions: Who is told; it must know the record.
            client: The own cluster.
            home: The bus on which its watcher speaks.
            program: Whose this is; names its consumer.
        """
        self._cluster, self._admissions, self._client = cluster, admissions, client
        self._consumer = Consumer(
            home,
            ConsumerSettings(
                stream=stream_name(cluster),
                filter_subjects=(kind_filter(cluster, Kind.CLUSTER),),
                name_prefix=f"{program}-own",
            ),
        )
        self._epoch = 0
        self._heard = asyncio.Event()

    async def run(self) -> None:
        """Tell of them, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            async with aclosing(self._consumer.events()) as events:
                async for event in events:
                    if isinstance(event, Delivery):
                        self._take(event)

    def _take(self, delivery: Delivery) -> None:
        """Take the watcher's word; one that cannot be read changes nothing."""
        epoch = epoch_of(delivery.headers) or 0
        with suppress(MalformedSubject, MalformedMessage):
            message = decode(parse_subject(delivery.subject), delivery.payload)
            if isinstance(message, ClusterAnnounced) and epoch >= self._epoch:
                self._epoch = epoch
                self._admissions.put(declaration_of(self._cluster, message))
                self._heard.set()

    async def _read(self) -> None:
        """Read what the API server says, and let it stand until the watcher speaks.

        Where it contradicts the record, the watcher may say otherwise in a moment.
        """
        own = await patiently(lambda: own_declaration(self._client, self._cluster))
        if self._admissions.contradicts(own):
            with suppress(TimeoutError):
                async with asyncio.timeout(WORD_S):
                    await self._heard.wait()
        if not self._heard.is_set():
            self._admissions.put(own)


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Return what is read of the own cluster; waits out whatever its API server answers instead."""
    failures = 0
    while True:
        try:
            return await read()
        except RetryableError as error:
            failures += 1
            _log.info("own cluster not read yet", error=str(error))
            await asyncio.sleep(_BACKOFF.delay_s(failures))
        except HeliographError as error:
            _log.error("own cluster cannot be read", error=str(error))
            await asyncio.sleep(_MISSING_RIGHT_S)
