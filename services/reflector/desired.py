"""The mirror that an importing cluster should have of one Service, by all who export it. Pure.

The oldest export decides about the Service, ties by cluster id; the others join with their
addresses, as far as their type, families and ports agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from heliograph.contract.messages import ServiceExported
from heliograph.contract.names import ClusterId
from services.reflector.admission import Admission
from services.reflector.backends import backends_of, declared_ranges, mirrored_port, muted
from services.reflector.mirror import DesiredMirror, MirrorSlice, MirrorSpec, Refusal
from services.reflector.table import Export, ServiceKey


class Importing(msgspec.Struct, frozen=True, kw_only=True):
    """The importing cluster, as far as it decides about mirrors.

    Attributes:
        cluster: Its id.
        families: IP families of its Services; empty if unknown, then any will do.
        admission: Its policy.
        silent: Clusters that are silent: mirrored as ever, but none of their addresses is ready.
    """

    cluster: ClusterId
    families: frozenset[str]
    admission: Admission
    silent: frozenset[ClusterId] = frozenset()


def desire_mirror(
    key: ServiceKey, exports: Iterable[Export], importing: Importing, frozen: MirrorSpec | None
) -> DesiredMirror:
    """Return the mirror of one Service.

    Args:
        key: The Service.
        exports: Every known export of it, in any order.
        importing: Whose mirror it is.
        frozen: The mirror's present Service, when an exporting cluster of it is not heard yet: it
            stays as it is, since that cluster's export may be the oldest.
    """
    meant = sorted_exports(exports, importing.cluster)
    if not meant:
        return DesiredMirror()
    if importing.admission.denies_namespace(key.namespace):
        return DesiredMirror(refusals=tuple(_namespace_denied(key, e, importing) for e in meant))
    return _join(key, meant, importing, frozen)


def sorted_exports(exports: Iterable[Export], importing: ClusterId) -> list[Export]:
    """Return the exports that are meant for a cluster; the first one decides about the mirror."""
    meant = (e for e in exports if may_import(e.service, importing))
    return sorted(meant, key=lambda e: (e.service.exported_at, e.cluster))


def _join(
    key: ServiceKey, exports: Sequence[Export], importing: Importing, frozen: MirrorSpec | None
) -> DesiredMirror:
    refusals: list[Refusal] = []
    taken: list[ClusterId] = []
    slices: dict[str, MirrorSlice] = {}
    spec = frozen
    for export in exports:
        candidate = _spec(export.service, importing)
        refusal = _no_common_family(key, export, candidate, importing) or (
            spec and _disagreement(key, export, candidate, spec, importing)
        )
        if refusal:
            refusals.append(refusal)
            continue
        spec = spec or candidate
        backends = backends_of(key, export, spec, importing.admission)
        if backends.left_out:
            refusals.append(_outside(key, export, importing, backends.left_out))
        mute = export.cluster in importing.silent
        slices |= {n: muted(s) if mute else s for n, s in backends.slices.items()}
        taken.append(export.cluster)
    return DesiredMirror(
        spec=spec if taken else None,
        exporting=tuple(taken),
        slices=slices,
        partial=frozenset(e.cluster for e in exports if e.cluster in taken and not e.whole),
        refusals=tuple(refusals),
    )


def may_import(service: ServiceExported, importing: ClusterId) -> bool:
    """Tell whether an export is meant for a cluster."""
    return service.importers is None or importing in service.importers


def _spec(service: ServiceExported, importing: Importing) -> MirrorSpec:
    families = tuple(
        f for f in service.ip_families if not importing.families or f in importing.families
    )
    return MirrorSpec(
        headless=service.headless,
        families=families,
        ports=tuple(map(mirrored_port, service.ports)),
        affinity_s=None if service.headless else service.session_affinity_s,
    )


def _no_common_family(
    key: ServiceKey, export: Export, candidate: MirrorSpec, importing: Importing
) -> Refusal | None:
    if candidate.families:
        return None
    exporting, here = export.cluster, importing.cluster
    have = "/".join(sorted(importing.families)) or "other"
    want = "/".join(export.service.ip_families) or "no"
    return Refusal(
        exporting=exporting,
        reason="NoCommonFamily",
        message=f"Service {key} of cluster {exporting} has {want} addresses and cluster {here} "
        f"has {have} Services only; not mirrored. Give it an address of a family that both "
        f"clusters have (spec.ipFamilies).",
    )


def _disagreement(
    key: ServiceKey,
    export: Export,
    candidate: MirrorSpec,
    spec: MirrorSpec,
    importing: Importing,
) -> Refusal | None:
    """Return why an export cannot stand behind the mirror that an older one has shaped."""
    if spec.headless != candidate.headless:
        reason, mine, theirs = "TypeConflict", _type(candidate), _type(spec)
        remedy = "Make both of one type, or rename one."
    elif not set(spec.families) & set(candidate.families):
        reason, remedy = "FamilyConflict", "Give both a common family (spec.ipFamilies)."
        mine, theirs = "/".join(candidate.families), "/".join(spec.families)
    else:
        return None
    exporting = export.cluster
    return Refusal(
        exporting=exporting,
        reason=reason,
        message=f"Service {key} of cluster {exporting} is {mine}, but the older export of that "
        f"name is {theirs}; {exporting}'s addresses are left out in cluster {importing.cluster}. "
        f"{remedy}",
    )


def _type(spec: MirrorSpec) -> str:
    return "headless" if spec.headless else "of type ClusterIP"


def _namespace_denied(key: ServiceKey, export: Export, importing: Importing) -> Refusal:
    return Refusal(
        exporting=export.cluster,
        reason="NamespaceDenied",
        message=f"Service {key} of cluster {export.cluster} is not mirrored: cluster "
        f"{importing.cluster} denies namespace {key.namespace} (setting denied_namespaces); export "
        f"from another namespace, or allow this one.",
    )


def _outside(
    key: ServiceKey, export: Export, importing: Importing, addresses: Sequence[str]
) -> Refusal:
    shown = ", ".join(addresses[:3]) + (", …" if len(addresses) > 3 else "")  # noqa: PLR2004
    kind = "service_cidrs" if export.service.endpoints == "cluster-ip" else "pod_cidrs"
    declared = ", ".join(declared_ranges(export)) or "none"
    return Refusal(
        exporting=export.cluster,
        reason="AddressOutsideRanges",
        message=f"Service {key} of cluster {export.cluster} has addresses ({shown}) outside of "
        f"the ranges that the cluster declares ({declared}) or that cluster {importing.cluster} "
        f"admits; they are left out. Set {kind} of {export.cluster}'s watcher, or "
        f"admitted_ranges of {importing.cluster}'s reflector.",
    )
