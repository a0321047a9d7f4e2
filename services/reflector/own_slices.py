"""The importing cluster's EndpointSlices, as far as they concern mirrors. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from typing_extensions import override

from heliograph.kube.objects import FIELD_MANAGER, EndpointSlice, ObjectMeta, key_of
from heliograph.kube.slices import SlicesByService
from heliograph.marks import (
    SERVICE_NAME_LABEL,
    SLICE_MANAGED_BY_LABEL,
    SLICE_MANAGER,
    SOURCE_CLUSTER_LABEL,
)
from heliograph.own.objects import OwnObjects
from services.reflector.table import ServiceKey

_CONTROLLERS: Final = (
    "endpointslice-controller.k8s.io",
    "endpointslicemirroring-controller.k8s.io",
)


class OwnSlices(OwnObjects[ServiceKey, EndpointSlice]):
    """The slices that are ours, that were adopted, or that controllers left on our mirrors.

    One that lost its Service's name is kept under the empty name, where nothing is wanted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slices = SlicesByService(_service_of)

    def of(self, key: ServiceKey) -> Mapping[str, EndpointSlice]:
        """Return the slices that bear a Service's name, by their own."""
        return self._slices.of(key)

    def named(self, namespace: str, name: str) -> EndpointSlice | None:
        """Return a slice by its own name, whichever Service's name it bears."""
        return self._slices.named(namespace, name)

    def keys(self) -> Iterator[ServiceKey]:
        """Yield the names of the Services that have slices."""
        return self._slices.keys()

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self._slices

    @override
    def _store(self, obj: EndpointSlice) -> set[ServiceKey]:
        return self._slices.put(obj)

    @override
    def _forget(self, metadata: ObjectMeta) -> set[ServiceKey]:
        return self._slices.drop(metadata)

    @override
    def _clear(self) -> set[ServiceKey]:
        return self._slices.clear()


def is_mirrored(item: EndpointSlice) -> bool:
    """Tell whether we made the slice for a mirror, even if it has lost some of our marks since.

    We have written into adopted slices as well, but they point at no cluster.
    """
    labels = item.metadata.labels
    managed = labels.get(SLICE_MANAGED_BY_LABEL) == SLICE_MANAGER
    return _written_by_us(item) and (managed or SOURCE_CLUSTER_LABEL in labels)


def concerns_us(item: EndpointSlice) -> bool:
    """Tell whether a slice is ours, adopted, or left by a controller.

    Controllers copy the labels of a Service to the slices that they make for it, so these carry
    our label as well: only such are watched. One without it is seen when its name is taken.
    """
    managed_by = item.metadata.labels.get(SLICE_MANAGED_BY_LABEL)
    return _written_by_us(item) or managed_by in _CONTROLLERS


def _written_by_us(item: EndpointSlice) -> bool:
    return any(entry.manager == FIELD_MANAGER for entry in item.metadata.managed_fields)


def _service_of(item: EndpointSlice) -> ServiceKey | None:
    name = item.metadata.labels.get(SERVICE_NAME_LABEL, "")
    namespace, _ = key_of(item)
    return ServiceKey(namespace, name) if concerns_us(item) else None
