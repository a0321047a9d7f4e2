"""What would become of a mirror, played through on the picture of the cluster. Pure.

A plan is carried out in steps: a mirror that is recreated, or whose namespace is created first,
takes several passes. Here each step is folded into the picture as if the API server had taken it,
until nothing is left to do; the picture is then that of the cluster as it would be.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from heliograph.kube.objects import (
    FIELD_MANAGER,
    EndpointSlice,
    KubeObject,
    ManagedField,
    ObjectMeta,
    Service,
    T,
)
from services.reflector.mirror import Refusal
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
from services.reflector.picture import Picture
from services.reflector.table import ServiceKey

_PASSES: Final = 8
"""More than any mirror takes."""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one object.

    Attributes:
        kind: Its kind.
        before: As it stands; None if it does not. Of Endpoints, the metadata alone.
        after: As it would stand, before the API server completes it; None if it would be gone.
        recreated: Whether it would be deleted and created anew on the way.
    """

    kind: str
    before: KubeObject | None
    after: KubeObject | None
    recreated: bool = False


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one mirror.

    Attributes:
        key: The mirror.
        fates: Of its objects, in the order in which they are first touched.
        refusals: What would not be taken, and why.
    """

    key: ServiceKey
    fates: tuple[Fate, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as what it does to one object."""

    kind: str
    metadata: ObjectMeta
    before: KubeObject | None
    after: KubeObject | None


def foresee(picture: Picture, key: ServiceKey) -> Outlook:
    """Return what would become of a mirror; the picture is then as if it had."""
    fates: dict[tuple[str, str, str], Fate] = {}
    plan, passes = picture.plan(key), 0
    while plan.operations and passes < _PASSES:
        for operation in plan.operations:
            step = _carry_out(picture.own, operation)
            place = (step.kind, step.metadata.namespace, step.metadata.name)
            fates[place] = _joined(fates.get(place), step)
        plan, passes = picture.plan(key), passes + 1
    lasting = (f for f in fates.values() if f.before is not None or f.after is not None)
    return Outlook(key=key, fates=tuple(lasting), refusals=plan.refusals)


def _joined(fate: Fate | None, step: _Step) -> Fate:
    """Return the fate of an object after one more step."""
    if fate is None:
        return Fate(kind=step.kind, before=step.before, after=step.after)
    anew = fate.before is not None and fate.after is None and step.after is not None
    return Fate(
        kind=step.kind,
        before=fate.before,
        after=step.after,
        recreated=fate.recreated or anew,
    )


def _carry_out(own: OwnCluster, operation: Operation) -> _Step:
    """Fold what an operation would do into the cluster's tables."""
    match operation:
        case CreateNamespace(namespace=made):
            own.namespaces.put(_written(made))
            return _step("Namespace", made.metadata, None, made)
        case CreateService(service=made) | ReplaceService(service=made):
            found = own.services.ours(ServiceKey(made.metadata.namespace, made.metadata.name))
            own.services.put(_written(made))
            return _step("Service", made.metadata, found, made)
        case DeleteService(metadata=where):
            found = own.services.ours(ServiceKey(where.namespace, where.name))
            own.services.drop(Service(metadata=where))
            return _step("Service", where, found, None)
        case DeleteEndpoints(metadata=where):
            own.endpoints.deleted(where)
            return _step("Endpoints", where, KubeObject(metadata=where), None)
        case CreateSlice() | ReplaceSlice() | DeleteSlice():
            return _carry_out_slice(own, operation)
        case _:
            assert_never(operation)


def _carry_out_slice(own: OwnCluster, operation: CreateSlice | ReplaceSlice | DeleteSlice) -> _Step:
    if isinstance(operation, DeleteSlice):
        where = operation.metadata
        found = own.slices.named(where.namespace, where.name)
        own.slices.drop(EndpointSlice(metadata=where))
        return _step("EndpointSlice", where, found, None)
    made = operation.slice
    found = own.slices.named(made.metadata.namespace, made.metadata.name)
    own.slices.put(_written(made))
    return _step("EndpointSlice", made.metadata, found, made)


def _step(
    kind: str, metadata: ObjectMeta, before: KubeObject | None, after: KubeObject | None
) -> _Step:
    return _Step(kind=kind, metadata=metadata, before=before, after=after)


def _written(obj: T) -> T:
    """Return the object as one that we have written."""
    author = (ManagedField(manager=FIELD_MANAGER),)
    metadata = msgspec.structs.replace(obj.metadata, managed_fields=author)
    return msgspec.structs.replace(obj, metadata=metadata)
