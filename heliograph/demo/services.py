"""The main job: a Service of east and its mirror in west."""

from __future__ import annotations

from heliograph.demo.observe import Observer
from heliograph.demo.show import services_table, slices_table
from heliograph.demo.step import Step, View
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    SERVICES,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    ObjectMeta,
    Port,
    Service,
    ServiceSpec,
)
from heliograph.marks import EXPORT_LABEL, MANAGED_BY_LABEL, SERVICE_NAME_LABEL, is_ours

NAMESPACE = "default"
NAME = "important-service"
FOREIGN = "payments"
_BACKEND = "10.244.1.17"


class MainJob:
    """The main job between two clusters; `east` is written, `west` observed."""

    def __init__(self, east: KubeClient, west: KubeClient, observer: Observer) -> None:
        self._east, self._west, self._observer = east, west, observer
        self._cluster_ip = ""
        self._foreign_version = ""

    def steps(self) -> tuple[Step, ...]:
        """Return the steps but for the last one, in order."""
        return (
            Step(
                name="export",
                done=f"{NAME} is created in east, with a ready backend and the export label",
                expected="a mirror appears in west; its EndpointSlice holds east's ClusterIP",
                do=self._export,
                seen=lambda: self.mirrored(port=80, ready=True),
                view=self.view,
            ),
            Step(
                name="change-port",
                done="its port changes from 80 to 8080",
                expected="the mirror and its EndpointSlice follow",
                do=lambda: self.change_port(8080),
                seen=lambda: self.mirrored(port=8080, ready=True),
                view=self.view,
            ),
            Step(
                name="lose-last-backend",
                done="its last ready backend goes",
                expected="the address in west turns not ready, so that nobody is sent there",
                do=lambda: self._set_ready(ready=False),
                seen=lambda: self.mirrored(port=8080, ready=False),
                view=self.view,
            ),
            Step(
                name="regain-backend",
                done="a backend is ready again",
                expected="the address in west turns ready",
                do=lambda: self._set_ready(ready=True),
                seen=lambda: self.mirrored(port=8080, ready=True),
                view=self.view,
            ),
            Step(
                name="leave-foreign-alone",
                done=f"{FOREIGN} is exported from east, but in west somebody else owns that name",
                expected="west's own Service stays as it is, and the refusal is on the bus",
                do=self._export_over_foreign,
                seen=self._refused,
                view=lambda: self.view(FOREIGN),
            ),
        )

    def last(self) -> Step:
        """Return the step after which nothing is left."""
        return Step(
            name="withdraw",
            done=f"the export label is taken off {NAME}",
            expected="mirror and EndpointSlice are gone from west",
            do=self._withdraw,
            seen=self._gone,
            view=self.view,
        )

    async def change_port(self, port: int) -> None:
        """Change the port of the Service."""
        patch = {"spec": {"ports": [{"name": "http", "port": port, "targetPort": 8080}]}}
        await self._east.merge_patch(SERVICES, NAMESPACE, NAME, patch)

    def mirrored(self, *, port: int, ready: bool) -> bool:
        """Tell whether the mirror is as it should be."""
        service = self._observer.service(NAMESPACE, NAME)
        slices = self._observer.slices(NAMESPACE, NAME)
        if service is None or not is_ours(service) or len(slices) != 1:
            return False
        endpoints, ports = slices[0].endpoints or (), slices[0].ports or ()
        return (
            [p.port for p in service.spec.ports] == [port] == [p.port for p in ports]
            and [e.addresses for e in endpoints] == [(self._cluster_ip,)]
            and [e.conditions.ready for e in endpoints] == [ready]
        )

    def view(self, name: str = NAME) -> View:
        """Return how to show a Service, its EndpointSlices, and why it is refused."""
        service = self._observer.service(NAMESPACE, name)
        slices = self._observer.slices(NAMESPACE, name)
        return View(
            command=f"get service,endpointslice   # {name}",
            tables=(services_table([service] if service else []), slices_table(slices)),
            notes=tuple(
                f"refused ({refusal.reason}): {refusal.message}"
                for refusal in self._observer.refusals
                if (refusal.namespace, refusal.name) == (NAMESPACE, name)
            ),
        )

    async def _export(self) -> None:
        await self._east.create(ENDPOINT_SLICES, _backends(NAME, ready=True))
        service = await self._east.create(SERVICES, a_service(NAME, labels={EXPORT_LABEL: "true"}))
        self._cluster_ip = service.spec.cluster_ip

    async def _set_ready(self, *, ready: bool) -> None:
        endpoint = {"addresses": [_BACKEND], "conditions": {"ready": ready, "serving": ready}}
        patch = {"endpoints": [endpoint]}
        await self._east.merge_patch(ENDPOINT_SLICES, NAMESPACE, f"{NAME}-1", patch)

    async def _export_over_foreign(self) -> None:
        foreign = a_service(FOREIGN, labels={MANAGED_BY_LABEL: "Helm"})
        created = await self._west.create(SERVICES, foreign)
        self._foreign_version = created.metadata.resource_version
        await self._east.create(SERVICES, a_service(FOREIGN, labels={EXPORT_LABEL: "true"}))

    async def _withdraw(self) -> None:
        patch = {"metadata": {"labels": {EXPORT_LABEL: None}}}
        await self._east.merge_patch(SERVICES, NAMESPACE, NAME, patch)

    def _refused(self) -> bool:
        service = self._observer.service(NAMESPACE, FOREIGN)
        return (
            service is not None
            and service.metadata.resource_version == self._foreign_version
            and not self._observer.slices(NAMESPACE, FOREIGN)
            and any(r.name == FOREIGN for r in self._observer.refusals)
        )

    def _gone(self) -> bool:
        mirror = self._observer.service(NAMESPACE, NAME)
        return mirror is None and not self._observer.slices(NAMESPACE, NAME)


def a_service(name: str, *, labels: dict[str, str]) -> Service:
    """Return a Service with one port and no selector."""
    return Service(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, labels=labels),
        spec=ServiceSpec(ports=(Port(name="http", port=80),)),
    )


def _backends(service: str, *, ready: bool) -> EndpointSlice:
    """Return what Kubernetes' own controller writes for a Service with one pod."""
    return EndpointSlice(
        metadata=ObjectMeta(
            name=f"{service}-1", namespace=NAMESPACE, labels={SERVICE_NAME_LABEL: service}
        ),
        address_type="IPv4",
        endpoints=(
            Endpoint(
                addresses=(_BACKEND,), conditions=EndpointConditions(ready=ready, serving=ready)
            ),
        ),
        ports=(Port(name="http", port=8080),),
    )
