"""The floor: a minimal relay that does nothing but watch east and write west.

One process, raw watch lines, the same two writes for each mirror, in parallel, by the same client;
no bus, no tables, no comparison, no safety. `python -m heliograph.bench.relay KUBECONFIG VALUE`
runs it for the Services whose label has that value.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from heliograph import program
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.kubeconfig import Kubeconfig
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
from heliograph.kube.watch import Listed, ListWatch, Upserted
from heliograph.marks import SERVICE_NAME_LABEL

LABEL: Final = "bench.heliograph.io/floor"
_IN_FLIGHT: Final = 32


class Relay:
    """Copies labelled Services; knows of each mirror only which versions it wrote last."""

    def __init__(self, east: KubeClient, west: KubeClient, wanted: str) -> None:
        """Prepare; `wanted` is the value of the label on the Services to copy."""
        self._east, self._west, self._wanted = east, west, wanted
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._written: dict[str, tuple[Service, EndpointSlice]] = {}

    async def run(self) -> None:
        """Relay for ever."""
        watch = ListWatch(
            self._east, SERVICES, selection=Selection(labels=f"{LABEL}={self._wanted}")
        )
        async with asyncio.TaskGroup() as tasks:
            async for event in watch.events():
                match event:
                    case Listed(items=items):
                        services = tuple(items)
                    case Upserted(object=service):
                        services = (service,)
                    case _:
                        continue
                for service in services:
                    tasks.create_task(self._relay(service))

    async def _relay(self, service: Service) -> None:
        async with self._slots:
            name = service.metadata.name
            before = self._written.get(name)
            if before is None:
                written = await asyncio.gather(
                    self._west.create(SERVICES, _mirror(service)),
                    self._west.create(ENDPOINT_SLICES, _slice(service)),
                )
            else:
                written = await asyncio.gather(
                    self._west.replace(SERVICES, _mirror(service, before[0])),
                    self._west.replace(ENDPOINT_SLICES, _slice(service, before[1])),
                )
            self._written[name] = written


def _mirror(service: Service, before: Service | None = None) -> Service:
    ports = tuple(Port(name=p.name, protocol=p.protocol, port=p.port) for p in service.spec.ports)
    spec = ServiceSpec(ports=ports, cluster_ip=before.spec.cluster_ip if before else "")
    return Service(metadata=_metadata(service, service.metadata.name, before), spec=spec)


def _slice(service: Service, before: EndpointSlice | None = None) -> EndpointSlice:
    ready = EndpointConditions(ready=True, serving=True, terminating=False)
    return EndpointSlice(
        metadata=_metadata(service, f"{service.metadata.name}-floor", before),
        address_type="IPv4",
        endpoints=(Endpoint(addresses=(service.spec.cluster_ip,), conditions=ready),),
        ports=tuple(
            Port(name=p.name, protocol=p.protocol, port=p.port) for p in service.spec.ports
        ),
    )


def _metadata(service: Service, name: str, before: Service | EndpointSlice | None) -> ObjectMeta:
    return ObjectMeta(
        name=name,
        namespace=service.metadata.namespace,
        labels={SERVICE_NAME_LABEL: service.metadata.name},
        resource_version=before.metadata.resource_version if before else "",
    )


async def _main(path: Path, wanted: str) -> None:
    async with (
        KubeClient("east", Kubeconfig(path=path, context="east")) as east,
        KubeClient("west", Kubeconfig(path=path, context="west")) as west,
    ):
        await Relay(east, west, wanted).run()


if __name__ == "__main__":
    sys.exit(program.run(_main(Path(sys.argv[1]), sys.argv[2])))
