"""Tells once of each Service that it is exported, when the stream holds all that is said of it."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, kind_of, parse_subject
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import SERVICES, ObjectMeta, Service
from services.watcher.table import ServiceKey

REASON = "Exported"


class Exports:
    """The exports of one cluster; what an earlier watcher has exported already is no news."""

    def __init__(self, cluster: ClusterId, recorder: EventRecorder) -> None:
        self._cluster, self._recorder = cluster, recorder
        self._standing: set[ServiceKey] = set()
        self._waiting: dict[ServiceKey, ObjectMeta] = {}

    def begin(self, live: Iterable[str]) -> None:
        """Take what the stream holds when an incarnation begins, by subject."""
        subjects = (parse_subject(text) for text in live if kind_of(text) is Kind.SERVICE)
        self._standing = {ServiceKey(one.namespace, one.name) for one in subjects}
        self._waiting.clear()

    def announce(self, key: ServiceKey, service: Service) -> None:
        """Take that a Service is to be exported."""
        if key not in self._standing:
            self._waiting[key] = service.metadata

    def withdraw(self, key: ServiceKey) -> None:
        """Take that a Service is not to be exported."""
        self._standing.discard(key)
        self._waiting.pop(key, None)

    def stored(self) -> None:
        """Take that the stream holds everything that was announced."""
        waiting, self._waiting = self._waiting, {}
        for key, metadata in waiting.items():
            self._standing.add(key)
            note = (
                f"Service {key.namespace}/{key.name} is exported by cluster {self._cluster}: other "
                f"clusters may mirror it"
            )
            about = Service(metadata=metadata)
            self._recorder.record(SERVICES, about, "Normal", (REASON, note))
