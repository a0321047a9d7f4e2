"""Which Services carry the label and are not exported all the same, and where people see why."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from heliograph.contract.names import ClusterId
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import SERVICES, Service
from heliograph.metrics import Metrics
from services.watcher.announce import NotExported
from services.watcher.table import ServiceKey

_log = structlog.get_logger()


class Refusals:
    """The refusals of one exporting cluster; each is told once, and again when it is back."""

    def __init__(self, cluster: ClusterId, recorder: EventRecorder, metrics: Metrics) -> None:
        self._cluster, self._recorder, self._metrics = cluster, recorder, metrics
        self._standing: dict[ServiceKey, NotExported] = {}

    def put(self, key: ServiceKey, service: Service, refused: NotExported) -> None:
        """Take that a Service is not exported: log, metric, Kubernetes Event."""
        if self._standing.get(key) == refused:
            return
        self.lift(key)
        self._standing[key] = refused
        self._metrics.count_refusal(self._cluster, refused.reason, stands=True)
        _log.warning("service not exported", cluster=self._cluster, reason=refused.message)
        self._warn(service, refused)

    def lift(self, key: ServiceKey) -> None:
        """Take that nothing stands against a Service any more."""
        refused = self._standing.pop(key, None)
        if refused is not None:
            self._metrics.count_refusal(self._cluster, refused.reason, stands=False)
            self.forget(key)

    def warn(self, key: ServiceKey, service: Service, warnings: Sequence[NotExported]) -> None:
        """Warn once of each; what is mended and broken again is told again."""
        if not warnings:
            self.forget(key)
        for warning in warnings:
            self._warn(service, warning)

    def forget(self, key: ServiceKey) -> None:
        """Let whatever is said next of a Service be said, though it was said before."""
        self._recorder.forget(key.namespace, key.name)

    def _warn(self, service: Service, why: NotExported) -> None:
        self._recorder.record(SERVICES, service, "Warning", (why.reason, why.message))
