"""A model of the importing cluster's API server: dictionaries, on which operations are carried out.

It refuses what the real server refuses (names taken, versions outdated, fields that cannot change),
and fails the test as soon as a write of ours would touch what is not ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec

from heliograph.kube.errors import NotFound, Status, api_error
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    FIELD_MANAGER,
    NAMESPACES,
    SERVICES,
    EndpointSlice,
    KubeObject,
    ManagedField,
    ObjectMeta,
    Resource,
    Service,
    T,
)
from heliograph.marks import MANAGED_BY_LABEL, MANAGER, is_ours
from services.reflector.own import OwnCluster
from services.reflector.own_slices import concerns_us, is_mirrored
from tests.support.mirrors import but, namespace, service_cidr

Place = tuple[str, str]
_CODES = {"AlreadyExists": 409, "Conflict": 409, "NotFound": 404, "Invalid": 422}
_FILTERED = (ENDPOINT_SLICES.plural, ENDPOINTS.plural)


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a watch: an object as it is now, or (gone) as it was last."""

    plural: str
    object: KubeObject
    gone: bool

    def fold_into(self, own: OwnCluster) -> set[object]:
        """Let a table take it."""
        table = {
            SERVICES.plural: own.services,
            ENDPOINT_SLICES.plural: own.slices,
            ENDPOINTS.plural: own.endpoints,
            NAMESPACES.plural: own.namespaces,
        }[self.plural]
        fold = table.drop if self.gone else table.put
        return set(fold(self.object))


class ApiServerModel:
    """The objects of one cluster, and the news of them in order.

    Attributes:
        news: What watches tell, from the beginning.
        writes: How many requests changed something.
    """

    def __init__(self, *namespaces: str, families: tuple[str, ...] = ("IPv4",)) -> None:
        self.families = families
        self.news: list[News] = []
        self.writes = 0
        self._numbers = itertools.count(1)
        kinds = (SERVICES, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES)
        self._objects: dict[str, dict[Place, KubeObject]] = {kind.plural: {} for kind in kinds}
        for name in namespaces or ("shop",):
            self.put(NAMESPACES, namespace(name))

    def all(self, resource: Resource[T]) -> list[T]:
        """Return all objects of a kind."""
        return list(self._objects[resource.plural].values())  # type: ignore[arg-type]

    def find(self, resource: Resource[T], namespace: str, name: str) -> T | None:
        """Return an object, if there is one."""
        return self._objects[resource.plural].get((namespace, name))  # type: ignore[return-value]

    def list_into(self, own: OwnCluster) -> None:
        """Let a table take a complete listing of every kind."""
        own.services.list(self.all(SERVICES))
        own.slices.list(filter(_watched, self.all(ENDPOINT_SLICES)))
        own.endpoints.list(filter(_watched, self.all(ENDPOINTS)))
        own.namespaces.list(self.all(NAMESPACES))
        cidrs = {"IPv4": "10.111.0.0/16", "IPv6": "fd00:111::/112"}
        own.families.list([service_cidr(*(cidrs[family] for family in self.families))])

    def put(self, resource: Resource[T], obj: T) -> T:
        """Store an object, whoever wants it: what other people and controllers do."""
        before = self.find(resource, obj.metadata.namespace, obj.metadata.name)
        uid = before.metadata.uid if before else f"uid-{next(self._numbers)}"
        version = str(next(self._numbers))
        now = but(obj, metadata=but(obj.metadata, uid=uid, resource_version=version))
        self._objects[resource.plural][_place(obj.metadata)] = now
        self._tell(resource, before, now)
        return now

    def remove(self, resource: Resource[T], namespace: str, name: str) -> None:
        """Remove an object, whoever wants it."""
        gone = self._objects[resource.plural].pop((namespace, name))
        self._tell(resource, gone, None)
        if resource is SERVICES:
            left = self._objects[ENDPOINTS.plural].pop((namespace, name), None)
            self._tell(ENDPOINTS, left, None)

    def create(self, resource: Resource[T], obj: T) -> T:
        """Do as a POST of ours does."""
        where = obj.metadata
        if self.find(resource, where.namespace, where.name) is not None:
            raise _error("AlreadyExists")
        if resource.namespaced:
            self._require_namespace(where.namespace)
        if isinstance(obj, Service):
            obj = self._with_addresses(obj)
        self.writes += 1
        return self.put(resource, _written_by_us(obj))

    def replace(self, resource: Resource[T], obj: T) -> T:
        """Do as a PUT of ours does; one that changes nothing makes no new version."""
        before = self._require(resource, obj.metadata)
        if before.metadata.resource_version != obj.metadata.resource_version:
            raise _error("Conflict")
        _require_ours(before)
        if isinstance(obj, Service):
            _require_mutable(before, obj)
            obj = self._with_addresses(obj)
        after = _written_by_us(obj, before.metadata)
        self.writes += 1
        return before if after == before else self.put(resource, after)

    def delete(self, resource: Resource[T], metadata: ObjectMeta) -> None:
        """Do as a DELETE of ours does."""
        before = self._require(resource, metadata)
        wanted = (metadata.uid, metadata.resource_version)
        if (before.metadata.uid, before.metadata.resource_version) != wanted:
            raise _error("Conflict")
        _require_ours(before)
        self.writes += 1
        self.remove(resource, metadata.namespace, metadata.name)

    def _require(self, resource: Resource[T], metadata: ObjectMeta) -> T:
        found = self.find(resource, metadata.namespace, metadata.name)
        if found is None:
            raise _error("NotFound")
        return found

    def _require_namespace(self, name: str) -> None:
        found = self.find(NAMESPACES, "", name)
        if found is None:
            raise _error("NotFound")
        assert not found.metadata.deletion_timestamp, "no plan creates in a terminating namespace"

    def _with_addresses(self, service: Service) -> Service:
        spec = service.spec
        if spec.cluster_ip == "None":
            return but(service, spec=but(spec, cluster_ips=("None",)))
        given = dict(zip(spec.ip_families, spec.cluster_ips, strict=False))
        addresses = tuple(given.get(family) or self._address(family) for family in spec.ip_families)
        return but(service, spec=but(spec, cluster_ip=addresses[0], cluster_ips=addresses))

    def _address(self, family: str) -> str:
        number = next(self._numbers)
        return f"10.111.0.{number}" if family == "IPv4" else f"fd00:111::{number:x}"

    def _tell(
        self, resource: Resource[T], before: KubeObject | None, now: KubeObject | None
    ) -> None:
        filtered = resource.plural in _FILTERED
        seen = before is not None and (not filtered or _watched(before))
        if now is not None and (not filtered or _watched(now)):
            self.news.append(News(plural=resource.plural, object=now, gone=False))
        elif seen:
            last = now or before
            assert last is not None
            self.news.append(News(plural=resource.plural, object=last, gone=True))


class ModelClient:
    """Requests to the model, in the form of `KubeClient`.

    Attributes:
        before_answer: Called between the change and its answer: here the watch may be faster.
    """

    def __init__(self, server: ApiServerModel) -> None:
        self._server = server
        self.before_answer: Callable[[], None] = lambda: None

    async def create(self, resource: Resource[T], obj: T) -> T:
        """POST."""
        answer = self._server.create(resource, obj)
        self.before_answer()
        return answer

    async def replace(self, resource: Resource[T], obj: T) -> T:
        """PUT."""
        answer = self._server.replace(resource, obj)
        self.before_answer()
        return answer

    async def delete(self, resource: Resource[T], metadata: ObjectMeta) -> None:
        """DELETE."""
        self._server.delete(resource, metadata)
        self.before_answer()

    async def get(
        self, resource: Resource[T], namespace: str, name: str, *, cached: bool = False
    ) -> T:
        """GET; the model's memory is its store."""
        del cached
        answer = self._server.find(resource, namespace, name)
        self.before_answer()
        if answer is None:
            raise _error("NotFound")
        return answer


def shape_of(server: ApiServerModel) -> dict[str, object]:
    """Return what is ours on the server, without what differs from one creation to the next.

    The order of IP families is such a thing: the primary one of a Service cannot be changed.
    """
    services = {
        _place(s.metadata): (
            s.metadata.annotations,
            but(
                s.spec,
                cluster_ip=s.spec.cluster_ip == "None",
                cluster_ips=(),
                ip_families=tuple(sorted(s.spec.ip_families)),
            ),
        )
        for s in server.all(SERVICES)
        if is_ours(s)
    }
    slices = {
        _place(s.metadata): (s.metadata.labels, s.address_type, s.endpoints, s.ports)
        for s in server.all(ENDPOINT_SLICES)
        if is_ours(s) and is_mirrored(s)
    }
    return {"services": services, "slices": slices}


def _watched(obj: KubeObject) -> bool:
    return obj.metadata.labels.get(MANAGED_BY_LABEL) == MANAGER


def _require_ours(obj: KubeObject) -> None:
    """Fail the test if a write would touch what is somebody else's."""
    concerns = isinstance(obj, EndpointSlice) and concerns_us(obj)
    if isinstance(obj, Service | EndpointSlice):
        assert is_ours(obj) or concerns, f"{obj.metadata.name} is not ours"
    else:
        assert _watched(obj), f"{obj.metadata.name} does not carry our label"


def _require_mutable(before: KubeObject, after: Service) -> None:
    """Refuse what a Service cannot change: its kind of cluster IP, its primary address."""
    assert isinstance(before, Service)
    headless = (before.spec.cluster_ip == "None", after.spec.cluster_ip == "None")
    primary = (before.spec.ip_families[:1], after.spec.ip_families[:1])
    if headless[0] != headless[1] or primary[0] != primary[1]:
        raise _error("Invalid")
    if after.spec.cluster_ip not in ("", before.spec.cluster_ip):
        raise _error("Invalid")


def _written_by_us(obj: T, before: ObjectMeta | None = None) -> T:
    managers = before.managed_fields if before else ()
    ours = ManagedField(manager=FIELD_MANAGER)
    metadata = but(obj.metadata, managed_fields=(*(m for m in managers if m != ours), ours))
    return but(obj, metadata=metadata)


def _place(metadata: ObjectMeta) -> Place:
    return metadata.namespace, metadata.name


def _error(reason: str) -> Exception:
    code = _CODES[reason]
    error = api_error("request to the model", Status(code=code, reason=reason))
    assert reason != "NotFound" or isinstance(error, NotFound)
    return error
