"""EndpointSlices, found by their own name or by the Service whose name they bear. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic

from heliograph.kube.objects import EndpointSlice, ObjectMeta, key_of
from heliograph.kube.packed import K, PackedObjects

Place = tuple[str, str]
"""Namespace and name of a slice."""


class SlicesByService(Generic[K]):
    """The slices of many Services; every method that changes them returns the Services touched."""

    def __init__(self, service_of: Callable[[EndpointSlice], K | None]) -> None:
        """Prepare; `service_of` names the Service of a slice, None for a slice to leave out."""
        self._service_of = service_of
        self._slices: PackedObjects[Place, EndpointSlice] = PackedObjects(EndpointSlice)
        self._places: dict[K, tuple[Place, ...]] = {}  # most Services have one slice

    def __contains__(self, key: K) -> bool:
        return key in self._places

    def keys(self) -> Iterator[K]:
        """Yield the Services that have slices."""
        return iter(self._places)

    def of(self, key: K) -> dict[str, EndpointSlice]:
        """Return the slices of a Service by their own names, in their order."""
        found = ((place, self._slices.get(place)) for place in sorted(self._places.get(key, ())))
        return {name: item for (_, name), item in found if item is not None}

    def named(self, namespace: str, name: str) -> EndpointSlice | None:
        """Return a slice by its own name, whichever Service's name it bears."""
        return self._slices.get((namespace, name))

    def put(self, item: EndpointSlice) -> set[K]:
        """Take a new or changed slice; it may have moved from one Service to another."""
        touched = self.drop(item.metadata)
        key = self._service_of(item)
        if key is None:
            return touched
        place = key_of(item)
        self._slices.put(place, item)
        self._places[key] = (*self._places.get(key, ()), place)
        return touched | {key}

    def drop(self, metadata: ObjectMeta) -> set[K]:
        """Take the loss of a slice."""
        place = metadata.namespace, metadata.name
        item = self._slices.pop(place)
        key = None if item is None else self._service_of(item)
        if key is None:
            return set()
        rest = tuple(other for other in self._places.pop(key) if other != place)
        if rest:
            self._places[key] = rest
        return {key}

    def clear(self) -> set[K]:
        """Know no slice any more; return the Services that had some."""
        known = set(self._places)
        self._slices.clear()
        self._places.clear()
        return known
