"""Carries operations out against the importing cluster's API server, and folds the answers in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Generic, Literal, TypeVar, assert_never

import msgspec

from heliograph.errors import HeliographError, RetryableError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, Conflict, NotFound
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    SERVICES,
    Namespace,
    ObjectMeta,
    Resource,
    T,
)
from heliograph.metrics import Metrics
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
from services.reflector.own_objects import OwnObjects

R = TypeVar("R")
Verb = Literal["create", "replace"]

STALE: Final = (AlreadyExists, Conflict, NotFound)
"""The cluster is not as the plan assumed; what stands there was read, and the next plan judges."""


class _Kind(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A kind of object, and what we know of those in our cluster."""

    resource: Resource[T]
    objects: OwnObjects[T]


class Applier:
    """Writes to one cluster, and keeps the table of it up to date with what was written."""

    def __init__(self, client: KubeClient, own: OwnCluster, metrics: Metrics) -> None:
        self._client = client
        self._own = own
        self._metrics = metrics
        self._services = _Kind(resource=SERVICES, objects=own.services)
        self._slices = _Kind(resource=ENDPOINT_SLICES, objects=own.slices)

    async def apply(self, operations: Sequence[Operation]) -> None:
        """Carry the operations of one mirror out, all at the same time but for a new Service.

        That goes first, alone: slices feed whatever Service bears their name, so none is made
        before it is known that nobody else has taken the name.

        Raises:
            HeliographError: Some of them failed, and this is the error to act upon first; the
                others were carried out all the same, unless the new Service failed.
        """
        new = [operation for operation in operations if isinstance(operation, CreateService)]
        for creation in new:
            await self._apply(creation)
        await self._apply_all([operation for operation in operations if operation not in new])

    async def _apply_all(self, operations: Sequence[Operation]) -> None:
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
                await self._write(self._services, "create", service)
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

    async def _write(self, kind: _Kind[T], verb: Verb, obj: T) -> None:
        send = self._client.create if verb == "create" else self._client.replace
        with kind.objects.request(obj.metadata) as request:
            try:
                sending = send(kind.resource, obj)
                written = await self._counted(verb, kind.resource.plural, sending)
            except STALE:
                await self._look(kind, obj.metadata)
                raise
            kind.objects.wrote(request, written)

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

    async def _look(self, kind: _Kind[T], metadata: ObjectMeta) -> None:
        """Read what stands under the name, so that the next plan is about it."""
        with kind.objects.request(metadata) as request:
            try:
                found = await self._client.get(kind.resource, metadata.namespace, metadata.name)
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
