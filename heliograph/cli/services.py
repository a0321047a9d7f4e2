"""`heliograph export`, `unexport` and `adopt`: marks on the Services of one cluster."""

from __future__ import annotations

import msgspec

from heliograph.contract.messages import EndpointsMode
from heliograph.contract.names import is_dns_label
from heliograph.errors import InputError
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import NotFound
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    KubeObject,
    Resource,
    Service,
    T,
)
from heliograph.marks import (
    ENDPOINTS_ANNOTATION,
    EXPORT_LABEL,
    MANAGED_BY_LABEL,
    MANAGER,
    SERVICE_NAME_LABEL,
    SLICE_MANAGED_BY_LABEL,
    is_ours,
)


class ServiceName(msgspec.Struct, frozen=True):
    """A Service as people name it."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> ServiceName:
        """Return what "NAMESPACE/NAME" says.

        Raises:
            InputError: It is of another form.
        """
        namespace, slash, name = text.partition("/")
        if not slash or not is_dns_label(namespace) or not is_dns_label(name):
            message = f"{text!r} names no Service: give NAMESPACE/NAME, such as default/web"
            raise InputError(message)
        return cls(namespace, name)


async def export(client: KubeClient, name: ServiceName, mode: EndpointsMode | None) -> str:
    """Label a Service for export; return what was done, in words."""
    service = await _get(client, name)
    where = f"Service {name.namespace}/{name.name}"
    if service.spec.type == "ExternalName":
        message = (
            f"{where} in cluster {client.cluster} is of type ExternalName, a DNS alias without "
            f"addresses, and cannot be exported; create the same ExternalName in the other clusters"
        )
        raise InputError(message)
    if is_ours(service):
        message = (
            f"{where} in cluster {client.cluster} is a mirror made by Heliograph, and mirrors are "
            f"not exported again; export it from the cluster where it runs"
        )
        raise InputError(message)
    metadata: dict[str, object] = {"labels": {EXPORT_LABEL: "true"}}
    if mode is not None:
        metadata["annotations"] = {ENDPOINTS_ANNOTATION: mode}
    await client.merge_patch(SERVICES, name.namespace, name.name, {"metadata": metadata})
    return f"{where} of cluster {client.cluster} is exported"


async def unexport(client: KubeClient, name: ServiceName) -> str:
    """Take the label off; return what was done, in words."""
    service = await _get(client, name)
    where = f"Service {name.namespace}/{name.name} of cluster {client.cluster}"
    if EXPORT_LABEL not in service.metadata.labels:
        return f"{where} was not exported"
    patch = {"metadata": {"labels": {EXPORT_LABEL: None}}}
    await client.merge_patch(SERVICES, name.namespace, name.name, patch)
    return f"{where} is no longer exported; its mirrors go"


async def adopt(client: KubeClient, name: ServiceName) -> str:
    """Take over a mirror made by hand, in place; return what was done, in words.

    The Service is marked as ours and keeps its cluster IP. Its Endpoints and slices are marked to
    be removed by the reflector, once its own slices stand beside them: there is no gap.
    """
    service = await _get(client, name)
    where = f"Service {name.namespace}/{name.name} in cluster {client.cluster}"
    if is_ours(service):
        return f"{where} is managed by Heliograph already"
    if service.spec.selector:
        message = (
            f"{where} has a selector, so it serves pods of its own and is no mirror made by hand; "
            f"left as it is"
        )
        raise InputError(message)
    if service.spec.type != "ClusterIP":
        message = f"{where} is of type {service.spec.type}, and mirrors are of type ClusterIP"
        raise InputError(message)
    await _mark_backends(client, name)
    await _mark(client, SERVICES, service)
    return (
        f"{where} is managed by Heliograph now, with its cluster IP as before; its Endpoints go "
        f"once the reflector has put its own EndpointSlice beside them"
    )


async def _mark_backends(client: KubeClient, name: ServiceName) -> None:
    selector = f"{SERVICE_NAME_LABEL}={name.name}"
    selection = Selection(namespace=name.namespace, labels=selector)
    listing = await client.list(ENDPOINT_SLICES, selection)
    for item in listing.items:
        if SLICE_MANAGED_BY_LABEL not in item.metadata.labels:
            await _mark(client, ENDPOINT_SLICES, item)
    try:
        endpoints = await client.get(ENDPOINTS, name.namespace, name.name)
    except NotFound:
        return
    await _mark(client, ENDPOINTS, endpoints)


async def _mark(client: KubeClient, resource: Resource[T], obj: KubeObject) -> None:
    """Label an object as ours, if it is still as it was read."""
    metadata = {
        "resourceVersion": obj.metadata.resource_version,
        "labels": {MANAGED_BY_LABEL: MANAGER},
    }
    where = obj.metadata
    await client.merge_patch(resource, where.namespace, where.name, {"metadata": metadata})


async def _get(client: KubeClient, name: ServiceName) -> Service:
    try:
        return await client.get(SERVICES, name.namespace, name.name)
    except NotFound as error:
        message = (
            f"cluster {client.cluster} has no Service {name.namespace}/{name.name}; 'kubectl get "
            f"services --all-namespaces' lists those it has"
        )
        raise InputError(message) from error
