"""The importing cluster's Services: our mirrors, and what others have of the same names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
from typing_extensions import override

from heliograph.contract.names import ClusterId
from heliograph.kube.objects import ObjectMeta, Service, key_of
from heliograph.kube.packed import PackedObjects
from heliograph.marks import EXPORTING_ANNOTATION, is_ours
from heliograph.own.objects import OwnObjects
from services.reflector.table import ServiceKey


class Foreign(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A Service that somebody else owns.

    Attributes:
        owner: Who wrote it, as far as the API server knows.
        metadata: Which object it is, in which version.
    """

    owner: str
    metadata: ObjectMeta


class OwnServices(OwnObjects[ServiceKey, Service]):
    """All Services of the importing cluster, whoever owns them."""

    def __init__(self) -> None:
        super().__init__()
        self._ours: PackedObjects[ServiceKey, Service] = PackedObjects(Service)
        self._foreign: dict[ServiceKey, Foreign] = {}
        self._pointing_at: Counter[str] = Counter()

    def ours(self, key: ServiceKey) -> Service | None:
        """Return the Service, if it is ours."""
        return self._ours.get(key)

    def foreign(self, key: ServiceKey) -> Foreign | None:
        """Return the Service, if it is somebody else's."""
        return self._foreign.get(key)

    def metadata(self, key: ServiceKey) -> ObjectMeta | None:
        """Return which Service has the name, whoever owns it."""
        if (foreign := self._foreign.get(key)) is not None:
            return foreign.metadata
        ours = self._ours.get(key)
        return None if ours is None else ours.metadata

    def knows(self, metadata: ObjectMeta) -> bool:
        """Tell whether any Service of that name is known."""
        key = _key(metadata)
        return key in self._ours or key in self._foreign

    def pointing_at(self, exporting: str) -> int:
        """Return how many mirrors name a cluster in their mark."""
        return self._pointing_at[exporting]

    def keys(self) -> Iterator[ServiceKey]:
        """Yield the names of our Services."""
        return iter(self._ours)

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self._ours

    @override
    def _store(self, obj: Service) -> set[ServiceKey]:
        self._forget(obj.metadata)
        key = ServiceKey(*key_of(obj))
        if is_ours(obj):
            self._ours.put(key, obj)
            self._pointing_at.update(marked(obj))
        else:
            self._foreign[key] = Foreign(owner=_owner(obj), metadata=_bare(obj.metadata))
        return {key}

    @override
    def _forget(self, metadata: ObjectMeta) -> set[ServiceKey]:
        key = _key(metadata)
        ours = self._ours.pop(key)
        if ours is not None:
            self._pointing_at.subtract(marked(ours))
        self._foreign.pop(key, None)
        return {key}

    @override
    def _clear(self) -> set[ServiceKey]:
        known = {*self._ours, *self._foreign}
        self._ours.clear()
        self._foreign.clear()
        self._pointing_at.clear()
        return known


def marked(mirror: Service) -> tuple[ClusterId, ...]:
    """Return the clusters that a mirror's mark names, in its order."""
    text = mirror.metadata.annotations.get(EXPORTING_ANNOTATION, "")
    return tuple(ClusterId(name) for name in text.split(",") if name)


def _key(metadata: ObjectMeta) -> ServiceKey:
    return ServiceKey(metadata.namespace, metadata.name)


def _bare(metadata: ObjectMeta) -> ObjectMeta:
    """Return which object it is, in which version: all that is kept of what is not ours."""
    return ObjectMeta(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
    )


def _owner(service: Service) -> str:
    """Return who wrote a foreign Service last, as far as the API server knows."""
    managers = [entry.manager for entry in service.metadata.managed_fields if entry.manager]
    return managers[-1] if managers else "unknown"
