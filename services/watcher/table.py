"""What the cluster holds, as far as exports depend on it: folded from watch events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NewType

import msgspec

from heliograph.kube.objects import EndpointSlice, Service, ServiceCIDR, key_of
from heliograph.kube.packed import PackedObjects
from heliograph.kube.slices import SlicesByService
from heliograph.marks import SERVICE_NAME_LABEL

NodeName = NewType("NodeName", str)


class ServiceKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """A Service, by namespace and name."""

    namespace: str
    name: str


class ServiceTable:
    """Exported Services with the EndpointSlices of all Services of the cluster.

    Slices are kept for every Service, since one may be exported at any time, and since those of
    Services without selector carry no label to filter by.
    """

    def __init__(self) -> None:
        self._services: PackedObjects[ServiceKey, Service] = PackedObjects(Service)
        self._slices = SlicesByService(_service_of)

    def keys(self) -> Iterator[ServiceKey]:
        """Yield the Services that carry the export label."""
        return iter(tuple(self._services))

    def service(self, key: ServiceKey) -> Service | None:
        """Return the Service, if it carries the export label."""
        return self._services.get(key)

    def slices(self, key: ServiceKey) -> tuple[EndpointSlice, ...]:
        """Return the Service's slices by name."""
        return tuple(self._slices.of(key).values())

    def list_services(self, services: Iterable[Service]) -> set[ServiceKey]:
        """Take a complete listing; return the keys that it concerns, gone ones included."""
        touched = set(self._services)
        self._services.clear()
        for service in services:
            touched |= self.put_service(service)
        return touched

    def put_service(self, service: Service) -> set[ServiceKey]:
        """Take a new or changed Service."""
        key = _service_key(service)
        self._services.put(key, service)
        return {key}

    def drop_service(self, service: Service) -> set[ServiceKey]:
        """Take the loss of a Service, or of its label."""
        key = _service_key(service)
        self._services.pop(key)
        return {key}

    def list_slices(self, slices: Iterable[EndpointSlice]) -> set[ServiceKey]:
        """Take a complete listing."""
        touched = self._slices.clear()
        for item in slices:
            touched |= self._slices.put(item)
        return self._exported(touched)

    def put_slice(self, item: EndpointSlice) -> set[ServiceKey]:
        """Take a new or changed slice; it may have moved from one Service to another."""
        return self._exported(self._slices.put(item))

    def drop_slice(self, item: EndpointSlice) -> set[ServiceKey]:
        """Take the loss of a slice."""
        return self._exported(self._slices.drop(item.metadata))

    def _exported(self, keys: set[ServiceKey]) -> set[ServiceKey]:
        return {key for key in keys if key in self._services}


class RangeTable:
    """The service CIDRs of the cluster, from its ServiceCIDR objects."""

    def __init__(self) -> None:
        self._cidrs: dict[str, tuple[str, ...]] = {}

    def list(self, objects: Iterable[ServiceCIDR]) -> None:
        """Take a complete listing."""
        self._cidrs = {o.metadata.name: o.spec.cidrs for o in objects}

    def put(self, obj: ServiceCIDR) -> None:
        """Take a new or changed object."""
        self._cidrs[obj.metadata.name] = obj.spec.cidrs

    def drop(self, obj: ServiceCIDR) -> None:
        """Take the loss of an object."""
        self._cidrs.pop(obj.metadata.name, None)

    def cidrs(self) -> tuple[str, ...]:
        """Return all ranges, sorted as text."""
        return tuple(sorted({cidr for cidrs in self._cidrs.values() for cidr in cidrs}))


def _service_key(service: Service) -> ServiceKey:
    return ServiceKey(*key_of(service))


def _service_of(item: EndpointSlice) -> ServiceKey | None:
    name = item.metadata.labels.get(SERVICE_NAME_LABEL)
    namespace, _ = key_of(item)
    return ServiceKey(namespace, name) if name else None
