"""Which refusals stand, and where people see them: log, metric, bus, Kubernetes Event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from heliograph.announce.announcer import Announcer, Origin
from heliograph.announce.reading import read_stream
from heliograph.bus import Connection
from heliograph.clock import now_ns
from heliograph.contract.messages import Message, RefusalStated
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.errors import RetryableError, TerminalError
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import SERVICES, Service
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.reflector.mirror import Refusal
from services.reflector.own_services import Foreign
from services.reflector.table import ServiceKey

_COMPARE_S: Final = 300.0
_log = structlog.get_logger()


class RefusalBoard:
    """The refusals of one importing cluster, by Service; each change is told once."""

    def __init__(
        self,
        importing: ClusterId,
        home: Connection,
        client: KubeClient,
        *,
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `home` is the bus on which the cluster publishes."""
        self._importing = importing
        self._home = home
        self._telemetry, self._metrics = telemetry, metrics
        self._recorder = EventRecorder(client, "reflector")
        self._standing: dict[ServiceKey, tuple[Refusal, ...]] = {}
        self._announcer: Announcer | None = None
        self._due = asyncio.Event()
        self._complete = False

    def standing(self, key: ServiceKey) -> tuple[Refusal, ...]:
        """Return the refusals of one Service."""
        return self._standing.get(key, ())

    def put(self, key: ServiceKey, refusals: Iterable[Refusal], foreign: Foreign | None) -> None:
        """Set the refusals of one Service."""
        now, before = tuple(refusals), self.standing(key)
        if now == before:
            return
        self._standing.pop(key, None)
        if now:
            self._standing[key] = now
        self._count(before, now)
        for refusal in now:
            if refusal not in before:
                self._tell(refusal, foreign)
        if not now:
            self._recorder.forget(key.namespace, key.name)
        self._announce(key, live=True)

    def rejected(
        self, key: ServiceKey, exporting: Iterable[ClusterId], error: TerminalError
    ) -> None:
        """Set the API server's own answer as refusal, until something changes."""
        message = (
            f"Service {key} is not mirrored in cluster {self._importing}: its API server does not "
            f"take the mirror ({error}); change the exported Service."
        )
        refusals = [Refusal(exporting=e, reason="Rejected", message=message) for e in exporting]
        self.put(key, refusals, None)

    def obstructed(
        self, key: ServiceKey, exporting: Iterable[ClusterId], error: RetryableError
    ) -> None:
        """Set what stands in the way as refusal, until it is gone."""
        refusals = [
            Refusal(exporting=e, reason="ForeignObject", message=str(error)) for e in exporting
        ]
        self.put(key, refusals, None)

    async def run(self, caught_up: Callable[[], Awaitable[None]]) -> None:
        """Keep the refusals on the bus equal to those that stand; for ever.

        Args:
            caught_up: Returns once every mirror was looked at. Until then what an earlier
                incarnation stated is left alone: most of it will be stated again.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run())
            reading = await read_stream(
                self._home,
                self._importing,
                (Kind.REFUSAL,),
                lambda subject: bool(subject.namespace),
            )
            announcer = self._announcer = Announcer(
                self._home,
                reading,
                telemetry=self._telemetry,
                metrics=self._metrics,
                on_doubt=lambda _: self._due.set(),
            )
            tasks.create_task(announcer.publisher.run())
            tasks.create_task(self._await_completeness(caught_up))
            while True:
                self._announce_all(announcer)
                await self._next_comparison()
                await announcer.compare()

    async def _await_completeness(self, caught_up: Callable[[], Awaitable[None]]) -> None:
        await caught_up()
        self._complete = True
        self._due.set()

    async def _next_comparison(self) -> None:
        try:
            async with asyncio.timeout(_COMPARE_S):
                await self._due.wait()
        except TimeoutError:
            pass
        self._due.clear()

    def _announce_all(self, announcer: Announcer) -> None:
        for key in self._standing:
            self._announce(key, live=False)
        if self._complete:
            announcer.withdraw_leftovers(Origin(seen_at_ns=now_ns(), live=False))

    def _announce(self, key: ServiceKey, *, live: bool) -> None:
        if self._announcer is not None:
            origin = Origin(seen_at_ns=now_ns(), live=live)
            self._announcer.announce(key, self._messages(key), origin)

    def _messages(self, key: ServiceKey) -> dict[Subject, Message]:
        """Return what the bus is told of one Service: one message per exporting cluster."""
        return {
            Subject(
                cluster=self._importing,
                kind=Kind.REFUSAL,
                namespace=key.namespace,
                name=f"{refusal.exporting}.{key.name}",
            ): RefusalStated(
                exporting=refusal.exporting,
                kind=Kind.SERVICE,
                namespace=key.namespace,
                name=key.name,
                reason=refusal.reason,
                message=refusal.message,
            )
            for refusal in self.standing(key)
        }

    def _tell(self, refusal: Refusal, foreign: Foreign | None) -> None:
        _log.warning(
            "not mirrored",
            importing=self._importing,
            exporting=refusal.exporting,
            reason=refusal.reason,
            error=refusal.message,
        )
        if foreign is not None:
            service = Service(metadata=foreign.metadata)
            why = (refusal.reason, refusal.message)
            self._recorder.record(SERVICES, service, "Warning", why)

    def _count(self, before: Iterable[Refusal], now: Iterable[Refusal]) -> None:
        for refusal in before:
            self._metrics.refusals.labels(refusal.exporting, refusal.reason).dec()
        for refusal in now:
            self._metrics.refusals.labels(refusal.exporting, refusal.reason).inc()
