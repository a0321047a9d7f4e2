"""What the importing cluster holds, as far as mirrors depend on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kube.objects import EndpointSlice, KubeObject, ObjectMeta, Service
from heliograph.marks import SOURCE_CLUSTER_LABEL
from services.reflector.own_services import Foreign, OwnServices, marked
from services.reflector.own_slices import OwnSlices, is_mirrored
from services.reflector.surroundings import OwnFamilies, OwnNamespaces
from services.reflector.table import ServiceKey


class OwnMirror(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under the name of one mirror.

    Attributes:
        service: The Service, if it is ours.
        foreign: The Service, if it is somebody else's.
        slices: Our slices by name.
        leftovers: Slices that controllers made for our mirror while it had a selector, or from
            Endpoints, and those of a mirror made by hand and adopted; they would go on feeding it.
        endpoints: Endpoints of the same origin.
    """

    service: Service | None = None
    foreign: Foreign | None = None
    slices: Mapping[str, EndpointSlice] = {}
    leftovers: Mapping[str, EndpointSlice] = {}
    endpoints: ObjectMeta | None = None

    def exporting(self) -> frozenset[ClusterId]:
        """Return the clusters that the mirror points at, by its marks."""
        by_slices = {exporting_of(item) for item in self.slices.values()} - {""}
        return frozenset({*map(ClusterId, by_slices), *self.marked()})

    def marked(self) -> tuple[ClusterId, ...]:
        """Return the clusters that the Service's own mark names, in its order."""
        return () if self.service is None else marked(self.service)


def exporting_of(item: EndpointSlice) -> ClusterId:
    """Return the cluster that a slice points at; empty if it does not say."""
    return ClusterId(item.metadata.labels.get(SOURCE_CLUSTER_LABEL, ""))


class OwnCluster:
    """The importing cluster.

    Attributes:
        services: Its Services.
        slices: Its EndpointSlices.
        endpoints: Its Endpoints that carry our label.
        namespaces: Its namespaces.
        families: The IP families of its Services.
    """

    def __init__(self) -> None:
        self.services = OwnServices()
        self.slices = OwnSlices()
        self.endpoints = OwnEndpoints()
        self.namespaces = OwnNamespaces()
        self.families = OwnFamilies()

    def mirror(self, key: ServiceKey) -> OwnMirror:
        """Return what stands under a mirror's name."""
        slices = self.slices.of(key)
        ours = {name: item for name, item in slices.items() if is_mirrored(item)}
        return OwnMirror(
            service=self.services.ours(key),
            foreign=self.services.foreign(key),
            slices=ours,
            leftovers={name: item for name, item in slices.items() if name not in ours},
            endpoints=self.endpoints.get(key),
        )

    def mirrors(self) -> set[ServiceKey]:
        """Return the names under which anything of ours stands."""
        return {*self.services.keys(), *self.slices.keys(), *self.endpoints.keys()}

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self.services or key in self.slices or key in self.endpoints


class OwnEndpoints:
    """The Endpoints that carry our label."""

    def __init__(self) -> None:
        self._endpoints: dict[ServiceKey, ObjectMeta] = {}

    def get(self, key: ServiceKey) -> ObjectMeta | None:
        """Return the Endpoints of a name."""
        return self._endpoints.get(key)

    def keys(self) -> Iterable[ServiceKey]:
        """Return all names."""
        return self._endpoints.keys()

    def __contains__(self, key: ServiceKey) -> bool:
        return key in self._endpoints

    def list(self, objects: Iterable[KubeObject]) -> set[ServiceKey]:
        """Take a complete listing; return the names that it touches."""
        before = set(self._endpoints)
        self._endpoints = {_key(obj.metadata): obj.metadata for obj in objects}
        return before | set(self._endpoints)

    def put(self, obj: KubeObject) -> set[ServiceKey]:
        """Take new or changed Endpoints."""
        self._endpoints[_key(obj.metadata)] = obj.metadata
        return {_key(obj.metadata)}

    def drop(self, obj: KubeObject) -> set[ServiceKey]:
        """Take the deletion of Endpoints, or that they carry our label no more."""
        return self.deleted(obj.metadata)

    def deleted(self, metadata: ObjectMeta) -> set[ServiceKey]:
        """Take the answer to our own deletion."""
        self._endpoints.pop(_key(metadata), None)
        return {_key(metadata)}


def _key(metadata: ObjectMeta) -> ServiceKey:
    return ServiceKey(metadata.namespace, metadata.name)
