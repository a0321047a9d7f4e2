"""A whole mirroring in miniature: models of exporters and of the API server, and our code between.

Nothing happens by itself: a test decides what is heard, seen and written, and in which order.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from heliograph.contract.names import ClusterId
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import Invalid
from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES, Service, ServiceSpec
from heliograph.marks import SERVICE_NAME_LABEL, SOURCE_CLUSTER_LABEL, is_ours
from heliograph.metrics import Metrics
from services.reflector.apply import STALE, Applier
from services.reflector.operations import (
    CreateSlice,
    DeleteSlice,
    Operation,
    Plan,
    ReplaceSlice,
)
from services.reflector.own_slices import is_mirrored
from services.reflector.picture import Picture
from services.reflector.settings import ReflectorSettings
from services.reflector.table import ImportTable, ServiceKey
from tests.support.exporter import ExporterModel
from tests.support.mirrors import HERE, KEY, but
from tests.support.model import ApiServerModel, ModelClient

_METRICS: Final = Metrics("reflector", "here")
_PASSES: Final = 8


class World:
    """One importing cluster among exporting ones.

    Attributes:
        exporters: The exporting clusters.
        server: The importing cluster's API server.
        client: Requests to it.
        picture: What our code knows; anew after each `restart`.
    """

    picture: Picture

    def __init__(
        self,
        *exporters: ExporterModel,
        server: ApiServerModel | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.exporters = {exporter.cluster: exporter for exporter in exporters}
        self.server = server or ApiServerModel()
        self.client = ModelClient(self.server)
        self._settings = ReflectorSettings(cluster=HERE, **settings)
        self._seen = 0
        self.restart()

    def restart(self, **settings: Any) -> None:  # noqa: ANN401
        """Forget everything; list the own cluster, and hear nobody yet."""
        self._settings = but(self._settings, **settings)
        self.picture = Picture(HERE, self._settings)
        for cluster in self.exporters:
            self.picture.exports[cluster] = ImportTable(cluster)
        self._applier = Applier(cast("KubeClient", self.client), self.picture.own, _METRICS)
        self.relist()

    def relist(self) -> None:
        """List the own cluster, as after 410 Gone."""
        self.server.list_into(self.picture.own)
        self._seen = len(self.server.news)

    def hear(self, *clusters: ClusterId) -> None:
        """Let clusters (all, if none is named) be heard whole, with a digest."""
        for cluster in clusters or tuple(self.exporters):
            exporter, table = self.exporters[cluster], self.picture.exports[cluster]
            exporter.lease()
            exporter.replay_into(table)
            if table.doubtful:
                exporter.replay_into(table)

    def watch(self, count: int | None = None) -> None:
        """See the own cluster's news; all, or so many."""
        end = len(self.server.news) if count is None else self._seen + count
        for news in self.server.news[self._seen : end]:
            news.fold_into(self.picture.own)
        self._seen = min(end, len(self.server.news))

    @property
    def behind(self) -> int:
        """How much news is not seen yet."""
        return len(self.server.news) - self._seen

    def plan(self, key: ServiceKey = KEY) -> Plan:
        """Return the plan for a mirror."""
        return self.picture.plan(key)

    def apply(self, *operations: Operation) -> None:
        """Carry operations out by the real applier."""
        asyncio.run(self._applier.apply(operations))

    def reconcile(self, key: ServiceKey = KEY) -> list[str]:
        """Plan and apply as the reflector does; return what was done, in words."""
        done: list[str] = []
        for _ in range(_PASSES):
            plan = self.plan(key)
            if not plan.operations:
                return done
            done += words(plan)
            try:
                self.apply(*plan.operations)
            except STALE:
                continue
            except Invalid:
                return done
        return done

    def settle(self) -> None:
        """Hear and see all, and bring every mirror to what it should be."""
        self.hear()
        for _ in range(_PASSES):
            self.watch()
            if not [done for key in sorted(self.picture.keys()) if (done := self.reconcile(key))]:
                return
        left = {str(key): words(self.plan(key)) for key in self.picture.keys()}  # noqa: SIM118
        raise AssertionError(f"never settles: {left}")

    def service(self, key: ServiceKey = KEY) -> Service | None:
        """Return the Service that stands under a name."""
        return self.server.find(SERVICES, key.namespace, key.name)

    def pointing_at(self, key: ServiceKey = KEY) -> list[str]:
        """Return the clusters that a mirror's slices point at."""
        return sorted(
            item.metadata.labels.get(SOURCE_CLUSTER_LABEL, "")
            for item in self.server.all(ENDPOINT_SLICES)
            if item.metadata.labels.get(SERVICE_NAME_LABEL) == key.name
        )

    def change_service(self, key: ServiceKey = KEY, **spec: Any) -> None:  # noqa: ANN401
        """Change the spec of a Service, as somebody with kubectl does."""
        service = self.service(key)
        assert service is not None
        self.server.put(SERVICES, but(service, spec=but(service.spec, **spec)))

    def no_foreign_service_has_our_slices(self) -> bool:
        """Tell whether no slice of ours bears the name of a Service that is not ours."""
        foreign = {
            (s.metadata.namespace, s.metadata.name)
            for s in self.server.all(SERVICES)
            if not is_ours(s)
        }
        return not any(
            (s.metadata.namespace, s.metadata.labels.get(SERVICE_NAME_LABEL)) in foreign
            for s in self.server.all(ENDPOINT_SLICES)
            if is_ours(s) and is_mirrored(s)
        )


def words(plan: Plan) -> list[str]:
    """Return what a plan does, such as ["CreateService", "CreateSlice east"]."""
    return [_word(operation) for operation in plan.operations]


def by_hand(**spec: Any) -> Service:  # noqa: ANN401
    """Return a Service without selector, as Kilo's page has people make it."""
    address = {"cluster_ip": "10.111.9.9", "cluster_ips": ("10.111.9.9",)}
    return Service(spec=ServiceSpec(ip_families=("IPv4",), **address, **spec))


def _word(operation: Operation) -> str:
    name = type(operation).__name__
    match operation:
        case CreateSlice(slice=item) | ReplaceSlice(slice=item):
            return f"{name} {item.metadata.labels[SOURCE_CLUSTER_LABEL]}"
        case DeleteSlice(metadata=metadata):
            return f"{name} {metadata.labels.get(SOURCE_CLUSTER_LABEL, metadata.name)}"
        case _:
            return name
