"""Feeds the holds with what happens, lets removals go when it is time, and tells people of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

from heliograph.contract.names import ClusterId
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import NAMESPACES, Namespace, ObjectMeta
from heliograph.metrics import Metrics
from services.reflector.holds import News, Verdict
from services.reflector.picture import Picture
from services.reflector.table import ServiceKey

_REASON: Final = "RemovalHeld"
_log = structlog.get_logger()


class Holding:
    """The holds of one reflector."""

    def __init__(
        self,
        picture: Picture,
        client: KubeClient,
        namespace: str,
        *,
        metrics: Metrics,
        look_at: Callable[[Iterable[ServiceKey]], None],
    ) -> None:
        """Prepare; `look_at` lets mirrors be planned again, Events are about `namespace`."""
        self._picture, self._metrics, self._look_at = picture, metrics, look_at
        self._recorder = EventRecorder(client, "reflector", counted=metrics.count_event)
        # about a thing without namespace, so that it is written wherever this runs
        self._regarding = Namespace(metadata=ObjectMeta(name=namespace))
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether any removal waits."""
        return self._picture.holds.due_s is not None

    def on_export(self, exporting: ClusterId, keys: set[ServiceKey]) -> None:
        """Take that a cluster spoke of some Services, before their mirrors are planned."""
        removals = self._picture.removals(exporting, keys)
        for key in keys - removals:
            if self._picture.holds.waits(exporting, key):
                self._changed.set()
            self._picture.holds.exported(exporting, key)
        if removals:
            self._withdrawn(exporting, removals)

    def on_complete(self, exporting: ClusterId, keys: set[ServiceKey]) -> None:
        """Take that a cluster has said all: what it did not name of these is withdrawn."""
        self._withdrawn(exporting, self._picture.removals(exporting, keys))

    def on_settled(self, key: ServiceKey) -> None:
        """Take that a mirror is as planned: what was removed of it in time cannot be held."""
        for exporting in self._picture.holds.withdrawing(key):
            if exporting not in self._picture.own.mirror(key).exporting():
                self._picture.holds.carried_out(exporting, key)
                self._changed.set()

    def forget(self, exporting: ClusterId) -> None:
        """Hold nothing of a cluster that left, or that people want nothing from."""
        self._picture.holds.forget(exporting)
        self._recorder.forget("", self._regarding.metadata.name)
        self._changed.set()

    def confirm(self, exporting: ClusterId) -> None:
        """Take that somebody confirmed the removals of a cluster's mirrors."""
        news = self._picture.holds.confirm(exporting)
        if news is not None:
            self._tell(news, "confirmed")

    async def run(self) -> None:
        """Let removals go when it is time; for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run())
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._picture.holds.due_s):
                        await self._changed.wait()
                self._changed.clear()
                self._count()
                for news in self._picture.holds.decide(self._now_s()):
                    self._tell(news, "held long enough")

    def _withdrawn(self, exporting: ClusterId, keys: set[ServiceKey]) -> None:
        holds, now_s = self._picture.holds, self._now_s()
        standing = self._picture.own.services.pointing_at(exporting)
        news = holds.withdrawn(exporting, keys, standing=standing, now_s=now_s)
        if news is not None:
            self._tell(news, "")
        self._changed.set()

    def _tell(self, news: News, why: str) -> None:
        self._count()
        fields = {"exporting": news.exporting, "removals": news.removals, "mirrors": news.mirrors}
        if news.verdict is Verdict.RELEASED:
            _log.info("removals go on", **fields, reason=why)
            self._recorder.forget("", self._regarding.metadata.name)
            self._look_at(news.keys)
            return
        message = self._picture.explain_hold(news)
        _log.error("removals held", **fields, error=message)
        self._recorder.record(NAMESPACES, self._regarding, "Warning", (_REASON, message))

    def _count(self) -> None:
        held = self._picture.holds.held
        for exporting in self._picture.exports:
            self._metrics.held.labels(exporting).set(held.get(exporting, 0))

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
