"""Carries operations out against the importing cluster's API server, and folds the answers in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Generic, Literal, TypeVar, assert_never

import msgspec

from heliograph.errors import HeliographError, RetryableError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, Conflict, NotFound, Status
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    SERVICES,
    Namespace,
    ObjectMeta,
    Resource,
    Service,
    T,
)
from heliograph.metrics import Metrics
from heliograph.own.objects import OwnObjects
from services.reflector.operations import (
    CreateNamespace,
    CreateService,
    CreateSlice,
    DeleteEndpoints,
    DeleteService,
    DeleteSlice,
    Operation,
    ReplaceService,
    ReplaceSlice,
)
from services.reflector.own import OwnCluster
from services.reflector.table import ServiceKey

R = TypeVar("R")
Verb = Literal["create", "replace"]

_TAKEN: Final = Status(code=409, reason="AlreadyExists", message="somebody else has made it")

STALE: Final = (AlreadyExists, Conflict, NotFound)
"""The cluster is not as the plan assumed; what stands there was read, and the next plan judges."""


class _Kind(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A kind of object, and what we know of those in our cluster."""

    resource: Resource[T]
    objects: OwnObjects[ServiceKey, T]


class Applier:
    """Writes to one cluster, and keeps the table of it up to date with what was written."""

    def __init__(
        self,
        client: KubeClient,
        own: OwnCluster,
        metrics: Metrics,
        is_fresh: Callable[[], bool] = lambda: False,
        created: Callable[[Service], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            client: The cluster.
            own: The table of it.
            metrics: Counts.
            is_fresh: Tells whether a Service that others made would be known by now.
            created: Hears of each Service that was created.
        """
        self._created = created
        self._client, self._is_fresh = client, is_fresh
        self._own = own
        self._metrics = metrics
        self._services = _Kind(resource=SERVICES, objects=own.services)
        self._slices = _Kind(resource=ENDPOINT_SLICES, objects=own.slices)

    async def apply(self, operations: Sequence[Operation]) -> None:
        """Carry the operations of one mirror out, all at the same time.

        Slices feed whatever Service bears their name. So before a mirror is made it is looked
        whether somebody took the name, unless the watch has spoken so lately that it would have
        said so. (A Service first and its slices after it would cost each mirror twice as much.)

        Raises:
            HeliographError: Some of them failed, and this is the error to act upon first; the
                others were carried out all the same. Or, before any: the name is taken.
        """
        for operation in operations:
            if isinstance(operation, CreateService) and not self._is_fresh():
                await self._require_free(operation.service)
        if len(operations) == 1:
            await self._apply(operations[0])
            return
        outcomes = await asyncio.gather(*map(self._apply, operations), return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        if failures:
            raise first_to_act_upon(failures)

    async def _apply(self, operation: Operation) -> None:  # noqa: C901 - one line per operation
        match operation:
            case CreateNamespace(namespace=namespace):
                await self._create_namespace(namespace)
            case CreateService(service=service):
                self._created(await self._write(self._services, "create", service))
            case ReplaceService(service=service):
                await self._write(self._services, "replace", service)
            case DeleteService(metadata=metadata):
                await self._delete(self._services, metadata)
            case CreateSlice(slice=item):
                await self._write(self._slices, "create", item)
            case ReplaceSlice(slice=item):
                await self._write(self._slices, "replace", item)
            case DeleteSlice(metadata=metadata):
                await self._delete(self._slices, metadata)
            case DeleteEndpoints(metadata=metadata):
                await self._delete_endpoints(metadata)
            case _:
                assert_never(operation)

    async def _create_namespace(self, namespace: Namespace) -> None:
        try:
            creation = self._client.create(NAMESPACES, namespace)
            created = await self._counted("create", "namespaces", creation)
        except AlreadyExists:
            created = await self._client.get(NAMESPACES, "", namespace.metadata.name)
        self._own.namespaces.put(created)

    async def _write(self, kind: _Kind[T], verb: Verb, obj: T) -> T:
        send = self._client.create if verb == "create" else self._client.replace
        with kind.objects.request(obj.metadata) as request:
            try:
                sending = send(kind.resource, obj)
                written = await self._counted(verb, kind.resource.plural, sending)
            except STALE:
                await self._look(kind, obj.metadata)
                raise
            kind.objects.wrote(request, written)
        return written

    async def _delete(self, kind: _Kind[T], metadata: ObjectMeta) -> None:
        with kind.objects.request(metadata) as request:
            try:
                deletion = self._client.delete(kind.resource, metadata)
                await self._counted("delete", kind.resource.plural, deletion)
            except STALE:
                await self._look(kind, metadata)
                raise
            kind.objects.deleted(request)

    async def _delete_endpoints(self, metadata: ObjectMeta) -> None:
        deletion = self._client.delete(ENDPOINTS, metadata)
        with suppress(NotFound):
            await self._counted("delete", "endpoints", deletion)
        self._own.endpoints.deleted(metadata)

    async def _require_free(self, service: Service) -> None:
        """Make sure that nobody has a Service of the name of one that is to be created.

        Raises:
            AlreadyExists: Somebody has; it is known now.
        """
        await self._look(self._services, service.metadata, cached=True)
        if self._own.services.knows(service.metadata):
            where = f"{service.metadata.namespace}/{service.metadata.name}"
            raise AlreadyExists(f"look at Service {where}", _TAKEN)

    async def _look(self, kind: _Kind[T], metadata: ObjectMeta, *, cached: bool = False) -> None:
        """Read what stands under the name, so that the next plan is about it."""
        with kind.objects.request(metadata) as request:
            try:
                where = metadata.namespace, metadata.name
                found = await self._client.get(kind.resource, *where, cached=cached)
            except NotFound:
                kind.objects.missing(request)
            else:
                kind.objects.found(request, found)

    async def _counted(self, verb: str, resource: str, sending: Awaitable[R]) -> R:
        outcome = "ok"
        try:
            return await sending
        except HeliographError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._metrics.writes.labels(verb, resource, outcome).inc()


def first_to_act_upon(failures: Iterable[BaseException]) -> BaseException:
    """Return the error that decides what happens next.

    A fault of ours or a cancellation first. Then what passes by waiting, since the server may have
    said for how long; then what a new plan mends; last what is final until something changes.
    """
    return min(failures, key=_rank)


def _rank(error: BaseException) -> int:
    if not isinstance(error, HeliographError):
        return 0
    if isinstance(error, STALE):
        return 2
    return 1 if isinstance(error, RetryableError) else 3
