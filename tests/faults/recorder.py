"""Sees everything that happens to mirrors, and remembers what must never happen.

It follows the importing cluster's API server as a program would: it survives its restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES, EndpointSlice, Service, T
from heliograph.kube.watch import Deleted, Listed, ListWatch, Upserted
from heliograph.marks import MANAGED_SELECTOR, SERVICE_NAME_LABEL, SOURCE_CLUSTER_LABEL
from tests.faults.model import Model

_GONE: Final = "is gone"


class Recorder:
    """Watches the mirrors of one importing cluster.

    Attributes:
        changes: How many changes were seen.
    """

    def __init__(self, client: KubeClient, model: Model, report: Callable[[str], None]) -> None:
        self._client, self._model, self._report = client, model, report
        self._services: dict[str, Service] = {}
        self._slices: dict[str, EndpointSlice] = {}
        self.changes = 0

    @property
    def versions(self) -> dict[str, str]:
        """Return the resource version of each object, as last seen."""
        return versions(self._services.values(), self._slices.values())

    async def run(self) -> None:
        """Watch, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_services())
            tasks.create_task(self._follow_slices())

    async def _follow_services(self) -> None:
        watch = ListWatch(self._client, SERVICES, selection=Selection(labels=MANAGED_SELECTOR))
        async for event in watch.events():
            match event:
                case Listed(items=items):
                    found = {s.metadata.name: s for s in items if self._is_here(s)}
                    for name in self._services.keys() | found.keys():
                        self._service(name, found.get(name))
                case Upserted(object=service) if self._is_here(service):
                    self._service(service.metadata.name, service)
                case Deleted(object=service) if self._is_here(service):
                    self._service(service.metadata.name, None)

    async def _follow_slices(self) -> None:
        watch = ListWatch(
            self._client, ENDPOINT_SLICES, selection=Selection(labels=MANAGED_SELECTOR)
        )
        async for event in watch.events():
            match event:
                case Listed(items=items):
                    found = {s.metadata.name: s for s in items if self._is_here(s)}
                    for name in self._slices.keys() | found.keys():
                        self._slice(name, found.get(name))
                case Upserted(object=item) if self._is_here(item):
                    self._slice(item.metadata.name, item)
                case Deleted(object=item) if self._is_here(item):
                    self._slice(item.metadata.name, None)

    def _is_here(self, obj: Service | EndpointSlice) -> bool:
        return obj.metadata.namespace == self._model.namespace

    def _service(self, name: str, now: Service | None) -> None:
        before = _swap(self._services, name, now)
        self.changes += before != now
        exports = self._model.of(name, self._client.cluster)
        if before is None or not any(export.continuous for export in exports):
            return
        if now is None:
            self._violation(f"Service {name} {_GONE}")
        elif now.metadata.uid != before.metadata.uid:
            self._violation(f"Service {name} was deleted and made anew")
        elif now.spec.cluster_ip != before.spec.cluster_ip:
            self._violation(
                f"Service {name} had cluster IP {before.spec.cluster_ip} "
                f"and has {now.spec.cluster_ip}"
            )

    def _slice(self, name: str, now: EndpointSlice | None) -> None:
        before = _swap(self._slices, name, now)
        self.changes += before != now
        if before is None:
            return
        labels = before.metadata.labels
        exports = self._model.of(labels.get(SERVICE_NAME_LABEL, ""), self._client.cluster)
        pointed_at = [e for e in exports if e.cluster == labels.get(SOURCE_CLUSTER_LABEL)]
        if not any(export.same_slices for export in pointed_at):
            return
        if now is None:
            self._violation(f"EndpointSlice {name} {_GONE}")
        elif before.endpoints and not now.endpoints:
            self._violation(f"EndpointSlice {name} has lost all addresses")

    def _violation(self, what: str) -> None:
        self._report(f"in {self._client.cluster}, {what}, although its Service was exported")


def versions(services: Iterable[Service], slices: Iterable[EndpointSlice]) -> dict[str, str]:
    """Return resource versions by kind and name."""
    return {
        f"{kind} {item.metadata.name}": item.metadata.resource_version
        for kind, items in (("Service", services), ("EndpointSlice", slices))
        for item in items
    }


def _swap(known: dict[str, T], name: str, now: T | None) -> T | None:
    """Take what is under a name now; return what was."""
    before = known.pop(name, None)
    if now is not None:
        known[name] = now
    return before
