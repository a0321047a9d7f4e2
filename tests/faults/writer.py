"""Changes an exporting cluster as a person would who tries until it is done, whatever is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, TypeVar

from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, NotFound
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    SERVICES,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    ObjectMeta,
    Port,
    Resource,
    Service,
    ServiceSpec,
    T,
)
from heliograph.marks import ENDPOINTS_ANNOTATION, EXPORT_LABEL, SERVICE_NAME_LABEL
from tests.faults.model import POD_PORT, Export, Mode

R = TypeVar("R")
_AGAIN_S: Final = 0.1
_PATIENCE_S: Final = 90.0
_ANSWERS: Final = (AlreadyExists, NotFound)


class Writer:
    """Writes to one cluster, in one namespace; the model is changed as the change begins."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def create(self, export: Export) -> None:
        """Create the Service and its slice."""
        export.exists = True
        await self._create(ENDPOINT_SLICES, self._slice(export))
        made = await self._create(SERVICES, self._service(export))
        export.cluster_ip = made.spec.cluster_ip
        export.created = made.metadata.creation_timestamp or ""

    async def delete(self, export: Export) -> None:
        """Delete the Service and its slice."""
        export.interrupt()
        export.exists = False
        await self._delete(SERVICES, export.name)
        await self._delete(ENDPOINT_SLICES, f"{export.name}-1")

    async def label(self, export: Export, *, on: bool) -> None:
        """Put the export label on, or take it off."""
        if not on:
            export.interrupt()
        export.labelled = on
        value = "true" if on else None
        await self._patch_service(export, {"metadata": {"labels": {EXPORT_LABEL: value}}})

    async def set_port(self, export: Export, port: int) -> None:
        """Change the Service's port."""
        export.port = port
        ports = [{"name": "http", "protocol": "TCP", "port": port}]
        await self._patch_service(export, {"spec": {"ports": ports}})

    async def set_mode(self, export: Export, mode: Mode) -> None:
        """Let mirrors point at something else; they get other slices by that."""
        export.same_slices = False
        export.mode = mode
        patch = {"metadata": {"annotations": {ENDPOINTS_ANNOTATION: mode}}}
        await self._patch_service(export, patch)

    async def set_backends(self, export: Export, backends: Mapping[str, bool]) -> None:
        """Change the addresses of the slice, or their readiness."""
        export.backends = dict(backends)
        endpoints = [
            {"addresses": [address], "conditions": {"ready": ready, "serving": ready}}
            for address, ready in backends.items()
        ]
        await patiently(
            lambda: self._client.merge_patch(
                ENDPOINT_SLICES, self._namespace, f"{export.name}-1", {"endpoints": endpoints}
            )
        )

    async def _patch_service(self, export: Export, patch: Mapping[str, object]) -> None:
        await patiently(
            lambda: self._client.merge_patch(SERVICES, self._namespace, export.name, patch)
        )

    async def _delete(self, resource: Resource[T], name: str) -> None:
        metadata = ObjectMeta(name=name, namespace=self._namespace)
        with suppress(NotFound):
            await patiently(lambda: self._client.delete(resource, metadata))

    async def _create(self, resource: Resource[T], obj: T) -> T:
        """Create an object; it may have been made by an attempt whose answer was lost."""
        try:
            return await patiently(lambda: self._client.create(resource, obj))
        except AlreadyExists:
            where = obj.metadata.namespace, obj.metadata.name
            return await patiently(lambda: self._client.get(resource, *where))

    def _service(self, export: Export) -> Service:
        metadata = ObjectMeta(
            name=export.name,
            namespace=self._namespace,
            labels={EXPORT_LABEL: "true"} if export.labelled else {},
            annotations={ENDPOINTS_ANNOTATION: export.mode},
        )
        ports = (Port(name="http", port=export.port),)
        return Service(metadata=metadata, spec=ServiceSpec(ports=ports))

    def _slice(self, export: Export) -> EndpointSlice:
        return EndpointSlice(
            metadata=ObjectMeta(
                name=f"{export.name}-1",
                namespace=self._namespace,
                labels={SERVICE_NAME_LABEL: export.name},
            ),
            address_type="IPv4",
            endpoints=tuple(
                Endpoint(
                    addresses=(address,),
                    conditions=EndpointConditions(ready=ready, serving=ready),
                )
                for address, ready in export.backends.items()
            ),
            ports=(Port(name="http", port=POD_PORT),),
        )


async def patiently(attempt: Callable[[], Awaitable[R]]) -> R:
    """Try until the API server has answered; an object that is there, or is not, is an answer."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                return await attempt()
            except _ANSWERS:
                raise
            except HeliographError:
                await asyncio.sleep(_AGAIN_S)
