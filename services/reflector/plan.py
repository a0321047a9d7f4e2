"""From what should be to what is: the operations for one mirror. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.kube.objects import Namespace, ObjectMeta, Service
from heliograph.marks import EXPORTING_ANNOTATION, MANAGED_BY_LABEL, MANAGER
from services.reflector.mirror import MirrorSpec
from services.reflector.operations import (
    CreateNamespace,
    CreateService,
    CreateSlice,
    DeleteEndpoints,
    DeleteService,
    DeleteSlice,
    Operation,
    Plan,
    ReplaceService,
    ReplaceSlice,
    Situation,
)
from services.reflector.own import OwnMirror, exporting_of
from services.reflector.reasons import foreign_object, namespace_missing, namespace_terminating
from services.reflector.render import (
    affinity_s,
    bare,
    changed_service,
    changed_slice,
    decided_fields,
    families_in_place,
    new_service,
    new_slice,
    slice_satisfied,
)


def plan_mirror(situation: Situation) -> Plan:
    """Return the operations that turn what is into what should be, and no others.

    What belongs to clusters that are not heard yet, or are refused, is not removed. A foreign
    Service is never touched, and no slice of ours bears its name: slices bind to a Service by that
    label alone.
    """
    own, desired = situation.own, situation.desired
    if own.foreign is not None:
        return Plan(
            operations=tuple(DeleteSlice(metadata=s.metadata) for s in own.slices.values()),
            refusals=desired.refusals + foreign_object(situation),
        )
    if situation.namespace != "Active":
        return _plan_without_namespace(situation)
    operations = [
        *_plan_service(situation),
        *_plan_slices(situation),
        *_plan_leftovers(situation),
    ]
    return Plan(operations=tuple(operations), refusals=desired.refusals)


def present_spec(own: OwnMirror) -> MirrorSpec | None:
    """Return the part of a mirror's Service that we decide, as it stands now."""
    if own.service is None:
        return None
    spec = own.service.spec
    return MirrorSpec(
        headless=spec.cluster_ip == "None",
        families=spec.ip_families,
        ports=tuple(map(bare, spec.ports)),
        affinity_s=affinity_s(spec),
    )


def _plan_without_namespace(situation: Situation) -> Plan:
    desired = situation.desired
    if desired.spec is None:
        return Plan(refusals=desired.refusals)
    if situation.namespace == "Terminating":
        return Plan(refusals=desired.refusals + namespace_terminating(situation))
    if situation.create_namespaces:
        metadata = ObjectMeta(name=situation.key.namespace, labels={MANAGED_BY_LABEL: MANAGER})
        create = CreateNamespace(namespace=Namespace(metadata=metadata))
        return Plan(operations=(create,), refusals=desired.refusals)
    return Plan(refusals=desired.refusals + namespace_missing(situation))


def _plan_service(situation: Situation) -> Iterator[Operation]:
    own, wanted = situation.own.service, situation.desired.spec
    if wanted is None:
        if own is not None and not situation.kept and situation.own.exporting():
            yield DeleteService(metadata=own.metadata)
    elif own is None:
        yield CreateService(service=new_service(situation.key, wanted, _exporting_mark(situation)))
    elif _must_recreate(own, wanted):
        yield DeleteService(metadata=own.metadata)
    elif not _service_satisfied(own, wanted, _exporting_mark(situation)):
        yield ReplaceService(service=changed_service(own, wanted, _exporting_mark(situation)))


def _plan_slices(situation: Situation) -> Iterator[Operation]:
    wanted, own = situation.desired.slices, situation.own
    kept = situation.kept | situation.desired.partial
    for name, item in sorted(wanted.items()):
        found = own.slices.get(name) or situation.slice_named(name)  # its labels may be lost
        if found is None:
            yield CreateSlice(slice=new_slice(situation.key, name, item))
        elif not slice_satisfied(situation.key, found, item):
            yield ReplaceSlice(slice=changed_slice(situation.key, found, item))
    for name, found in sorted(own.slices.items()):
        if name not in wanted and exporting_of(found) not in kept:
            yield DeleteSlice(metadata=found.metadata)


def _plan_leftovers(situation: Situation) -> Iterator[Operation]:
    """Remove what others left on our mirror, once our own slices stand in its place."""
    own, desired = situation.own, situation.desired
    in_place = own.service is not None and not own.service.spec.selector
    if not in_place or desired.spec is None or not set(desired.slices) <= set(own.slices):
        return
    if own.endpoints is not None:
        yield DeleteEndpoints(metadata=own.endpoints)
    for _, item in sorted(own.leftovers.items()):
        yield DeleteSlice(metadata=item.metadata)


def _must_recreate(own: Service, wanted: MirrorSpec) -> bool:
    """Tell whether an immutable field differs: the kind of cluster IP, or the primary family."""
    headless = own.spec.cluster_ip == "None"
    return (
        headless != wanted.headless
        or families_in_place(own, wanted)[:1] != own.spec.ip_families[:1]
    )


def _service_satisfied(own: Service, wanted: MirrorSpec, exporting: str) -> bool:
    fields = decided_fields(own, wanted)
    untouched = all(getattr(own.spec, name) == value for name, value in fields.items())
    ports = tuple(map(bare, own.spec.ports)) == wanted.ports
    marks = own.metadata.annotations.get(EXPORTING_ANNOTATION, "") == exporting
    affinity = affinity_s(own.spec) == wanted.affinity_s
    return untouched and ports and marks and affinity


def _exporting_mark(situation: Situation) -> str:
    """Return the annotation's value: the oldest export first.

    While a cluster is not heard, its age is not known, so whoever is marked keeps its place; and
    so does a refused one.
    """
    taken, kept = situation.desired.exporting, situation.kept
    if not kept:
        return ",".join(taken)
    marked = [c for c in situation.own.marked() if c in kept or c in taken]
    return ",".join([*marked, *(c for c in taken if c not in marked)])
