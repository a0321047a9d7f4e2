"""Brings one mirror after another to what it should be; what fails is tried again later."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError
from heliograph.imports.waiting import Waiting
from heliograph.kube.errors import Busy, Forbidden, Invalid, Unauthorized
from heliograph.queue import Queue
from services.reflector.mirror import Refusal
from services.reflector.reconcile import Obstructed, Reconciler
from services.reflector.refusals import RefusalBoard
from services.reflector.table import ServiceKey

_MISSING_RIGHT_S: Final = 30.0

_log = structlog.get_logger()


class Heed(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker asks of the reflector, and tells it.

    Attributes:
        importing: The cluster that has the mirrors.
        exporting: Returns the clusters that export a Service.
        refused: Returns why a Service is not mirrored, or not ready, from whole clusters.
        settled: A mirror is as it should be.
        looked: A Service was looked at, however that went.
    """

    importing: ClusterId
    exporting: Callable[[ServiceKey], Iterable[ClusterId]]
    refused: Callable[[ServiceKey], tuple[Refusal, ...]]
    settled: Callable[[ServiceKey], None]
    looked: Callable[[], None]


class Worker:
    """Works off the queue; several may run at the same time."""

    def __init__(
        self,
        queue: Queue[ServiceKey],
        reconciler: Reconciler,
        refusals: RefusalBoard,
        waiting: Waiting[ServiceKey],
        heed: Heed,
    ) -> None:
        self._queue, self._reconciler = queue, reconciler
        self._refusals, self._waiting, self._heed = refusals, waiting, heed

    async def run(self) -> None:
        """Bring one mirror after another to what it should be; for ever."""
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            except Invalid as error:
                await self._reject(key, error)
            except Obstructed as error:
                self._refusals.obstructed(key, self._heed.exporting(key), error)
                self._queue.failed(key)
            except HeliographError as error:
                self._defer(key, error)
            else:
                self._queue.done(key)
            self._heed.looked()

    async def _reconcile(self, key: ServiceKey) -> None:
        """Bring a mirror to what it should be, and tell what is not taken."""
        plan = await self._reconciler.reconcile(key)
        self._refusals.put(key, plan.refusals)
        await self._settle(key, plan.refusals)
        self._heed.settled(key)

    async def _reject(self, key: ServiceKey, error: Invalid) -> None:
        """Leave a mirror that the API server does not take, until something about it changes."""
        self._refusals.rejected(key, self._heed.exporting(key), error)
        await self._settle(key, self._refusals.standing(key))
        self._queue.done(key)

    async def _settle(self, key: ServiceKey, refusals: Iterable[Refusal]) -> None:
        """Tell those who wait what became of what they said."""
        await self._waiting.settle(key, (*refusals, *self._heed.refused(key)))

    def _defer(self, key: ServiceKey, error: HeliographError) -> None:
        """Try again later; slowly where people must act first."""
        importing = self._heed.importing
        if isinstance(error, Forbidden | Unauthorized):
            _log.error("missing right", importing=importing, error=str(error))
            self._queue.failed(key, after_s=_MISSING_RIGHT_S)
            return
        _log.info("mirror deferred", importing=importing, error=str(error))
        self._queue.failed(key, after_s=error.retry_after_s if isinstance(error, Busy) else 0)
