"""Which refusals stand, and where people see them: log, metric, bus, Kubernetes Event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from heliograph.announce.statements import Part, Statements
from heliograph.bus import Connection
from heliograph.contract.messages import Message, RefusalStated
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.errors import RetryableError, TerminalError
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import SERVICES, ObjectMeta, Service
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.reflector.mirror import Refusal
from services.reflector.own_services import marked
from services.reflector.reasons import NO_NAMESPACE
from services.reflector.table import ServiceKey

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
        found: Callable[[ServiceKey], ObjectMeta | None],
    ) -> None:
        """Prepare.

        Args:
            importing: The importing cluster.
            home: The bus on which it publishes.
            client: Its API server.
            telemetry: Makes spans.
            metrics: Counts.
            found: Returns which Service there has a name, whoever owns it.
        """
        self._importing, self._metrics, self._found = importing, metrics, found
        self._stated: Statements[ServiceKey] = Statements(
            home,
            Part(
                cluster=importing, kind=Kind.REFUSAL, owned=lambda subject: bool(subject.namespace)
            ),
            messages=self._messages,
            telemetry=telemetry,
            metrics=metrics,
        )
        self._recorder = EventRecorder(client, "reflector", counted=metrics.count_event)
        self._standing: dict[ServiceKey, tuple[Refusal, ...]] = {}

    def standing(self, key: ServiceKey) -> tuple[Refusal, ...]:
        """Return the refusals of one Service."""
        return self._standing.get(key, ())

    def put(self, key: ServiceKey, refusals: Iterable[Refusal]) -> None:
        """Set the refusals of one Service."""
        now, before = tuple(refusals), self.standing(key)
        if now == before:
            return
        self._standing.pop(key, None)
        if now:
            self._standing[key] = now
        self._metrics.count_refusals(before, now)
        for refusal in now:
            if refusal not in before:
                self._tell(key, refusal)
        if not now:
            self._recorder.forget(key.namespace, key.name)
        self._stated.state(key)

    def rejected(
        self, key: ServiceKey, exporting: Iterable[ClusterId], error: TerminalError
    ) -> None:
        """Set the API server's own answer as refusal, until something changes."""
        message = (
            f"Service {key} is not mirrored in cluster {self._importing}: its API server does not "
            f"take the mirror ({error}); change the exported Service."
        )
        refusals = [Refusal(exporting=e, reason="Rejected", message=message) for e in exporting]
        self.put(key, refusals)

    def obstructed(
        self, key: ServiceKey, exporting: Iterable[ClusterId], error: RetryableError
    ) -> None:
        """Set what stands in the way as refusal, until it is gone."""
        refusals = [
            Refusal(exporting=e, reason="ForeignObject", message=str(error)) for e in exporting
        ]
        self.put(key, refusals)

    async def run(self, caught_up: Callable[[], Awaitable[None]]) -> None:
        """Keep the refusals on the bus equal to those that stand; for ever.

        Args:
            caught_up: Returns once every mirror was looked at. Until then what an earlier
                incarnation stated is left alone: most of it will be stated again.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._stated.run(lambda: self._standing))
            await caught_up()
            self._stated.looked_at_everything()

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

    def mirrored(self, mirror: Service) -> None:
        """Take that a mirror was made: whoever finds the Service is told where it comes from."""
        key = mirror.metadata.namespace, mirror.metadata.name
        note = (
            f"Service {'/'.join(key)} is a mirror in cluster {self._importing} of what "
            f"{' and '.join(marked(mirror)) or 'other clusters'} exports under that name"
        )
        self._recorder.record(SERVICES, mirror, "Normal", ("Mirrored", note))

    def _tell(self, key: ServiceKey, refusal: Refusal) -> None:
        _log.warning(
            "not mirrored",
            importing=self._importing,
            exporting=refusal.exporting,
            reason=refusal.reason,
            error=refusal.message,
        )
        if refusal.reason in NO_NAMESPACE:
            return  # there is nowhere to write it; the exporting cluster is told
        metadata = self._found(key) or ObjectMeta(namespace=key.namespace, name=key.name)
        why = (refusal.reason, refusal.message)
        self._recorder.record(SERVICES, Service(metadata=metadata), "Warning", why)
