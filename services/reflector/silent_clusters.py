"""Where people see which clusters are silent: log, metric, Kubernetes Event, refusal on the bus.

Each cluster is told once, and not once for each Service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from heliograph.announce.statements import Part, Statements
from heliograph.bus import Connection
from heliograph.contract.messages import Message, RefusalStated
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import NAMESPACES, Namespace, ObjectMeta
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.reflector.mirror import Refusal
from services.reflector.settings import ReflectorSettings

REASON: Final = "ClusterSilent"
_log = structlog.get_logger()


class SilentClusters:
    """The silent clusters, as one importing cluster tells of them."""

    def __init__(
        self,
        settings: ReflectorSettings,
        home: Connection,
        client: KubeClient,
        *,
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `home` is the bus on which the cluster publishes."""
        self._importing, self._metrics = ClusterId(settings.cluster), metrics
        self._standing: dict[ClusterId, Refusal] = {}
        self._recorder = EventRecorder(client, "reflector", counted=metrics.count_event)
        self._regarding = Namespace(metadata=ObjectMeta(name=settings.namespace))
        self._stated: Statements[ClusterId] = Statements(
            home,
            Part(cluster=self._importing, kind=Kind.REFUSAL, owned=_is_about_a_silent_cluster),
            messages=self._messages,
            telemetry=telemetry,
            metrics=metrics,
        )

    def of(self, exporting: Iterable[ClusterId]) -> tuple[Refusal, ...]:
        """Return what stands against some clusters."""
        return tuple(self._standing[c] for c in exporting if c in self._standing)

    def put(self, exporting: ClusterId, *, silent: bool) -> None:
        """Take that a cluster is silent, or is not any more."""
        self._metrics.silent.labels(exporting).set(silent)
        if silent:
            self._standing[exporting] = refusal = _refusal(self._importing, exporting)
            _log.error("cluster silent", **self._labels(exporting), error=refusal.message)
            why = (REASON, refusal.message)
            self._recorder.record(NAMESPACES, self._regarding, "Warning", why)
        elif self._standing.pop(exporting, None):
            _log.info("cluster silent no more", **self._labels(exporting))
            self._recorder.forget("", self._regarding.metadata.name)
        self._stated.state(exporting)

    async def run(self, caught_up: Callable[[], Awaitable[None]]) -> None:
        """Keep the refusals on the bus equal to those that stand; for ever.

        Args:
            caught_up: Returns once every cluster was heard. Until then what an earlier incarnation
                stated is left alone: most of it will be stated again.
        """
        tasks = self._recorder.run(), self._stated.run(lambda: self._standing)
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
            await caught_up()
            self._stated.looked_at_everything()

    def _messages(self, exporting: ClusterId) -> dict[Subject, Message]:
        return {
            Subject(cluster=self._importing, kind=Kind.REFUSAL, name=exporting): RefusalStated(
                exporting=exporting,
                kind=Kind.CLUSTER,
                name=exporting,
                reason=refusal.reason,
                message=refusal.message,
            )
            for refusal in self.of((exporting,))
        }

    def _labels(self, exporting: ClusterId) -> dict[str, str]:
        return {"importing": self._importing, "exporting": exporting}


def _is_about_a_silent_cluster(subject: Subject) -> bool:
    """Tell whether a refusal has a cluster's id for a name: the peerer's names have dots."""
    return not subject.namespace and "." not in subject.name


def _refusal(importing: ClusterId, exporting: ClusterId) -> Refusal:
    return Refusal(
        exporting=exporting,
        reason=REASON,
        message=f"Cluster {exporting} is not heard of any more, and none of its nodes is known to "
        f"answer those of cluster {importing}. Its mirrors stay, but their addresses are not "
        f"ready, so that traffic goes to others who export the same; they are ready again when "
        f"{exporting} is heard of or one of its nodes answers. If it is gone for good, "
        f"'heliograph forget {exporting}' removes its mirrors from {importing}.",
    )
