"""What the importing cluster's reflector would do about the mirror: its own code decides. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from heliograph.admission.decide import decide
from heliograph.admission.declaration import Decision, declaration_of
from heliograph.admission.explain import REASON, explain
from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy
from heliograph.contract.messages import ClusterAnnounced, Message
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.explain import refusals
from heliograph.explain.facts import API, Facts, OnBus
from heliograph.explain.offered import Offered
from heliograph.explain.spoken import SILENT
from heliograph.imports.whole import fill
from services.reflector.mirror import Refusal
from services.reflector.operations import Plan
from services.reflector.own import OwnMirror
from services.reflector.picture import Picture
from services.reflector.settings import ReflectorSettings
from services.reflector.surroundings import NamespaceState
from services.reflector.table import ImportTable

BY_SETTINGS: Final = frozenset({"NamespaceDenied", "AddressOutsideRanges"})
"""Refusals that depend on settings of the reflector, which are not known here."""

_ALL_RANGES: Final = ("0.0.0.0/0", "::/0")


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done, from what is known.

    Attributes:
        plan: Of the mirror, with what is not taken.
        own: What stands.
        namespace: Whether the namespace is there.
        overlap: Why the exporting cluster is refused for its ranges; empty if it is not.
    """

    plan: Plan
    own: OwnMirror
    namespace: NamespaceState
    overlap: str = ""

    def refusal(self, exporting: ClusterId, reason: str) -> Refusal | None:
        """Return what is not taken of a cluster, for a reason."""
        found = (r for r in self.plan.refusals if (r.exporting, r.reason) == (exporting, reason))
        return next(found, None)


def foresee(facts: Facts, offered: Offered) -> Foreseen | None:
    """Return what the reflector would do; None if its cluster cannot be looked at.

    Its settings are not known. Where a refusal depends on them, it stands if the reflector states
    it too; if statements cannot be read, unless a mirror stands.
    """
    if API in facts.importing.unread:
        return None
    usual = _foresee(facts, offered, ReflectorSettings(cluster=facts.importing.cluster))
    doubtful = {r.reason for r in usual.plan.refusals} & BY_SETTINGS
    stated = {one.reason for one in refusals.of_service(facts)}
    stands = usual.own.service is not None
    if not doubtful - stated or (facts.stated.fault and not stands):
        return usual
    anything = ReflectorSettings(
        cluster=facts.importing.cluster, denied_namespaces=(), admitted_ranges=_ALL_RANGES
    )
    return _foresee(facts, offered, anything)


def _foresee(facts: Facts, offered: Offered, settings: ReflectorSettings) -> Foreseen:
    here, exporting = facts.importing, facts.exporting.cluster
    picture = Picture(here.cluster, settings)
    _fill_own(picture, facts)
    overlap = _overlap(facts)
    picture.refused = frozenset({exporting} if overlap else ())
    silent = refusals.find(facts, SILENT) is not None
    picture.silent = frozenset({exporting} if silent else ())
    picture.exports |= dict(_tables(facts, offered))
    return Foreseen(
        plan=picture.plan(facts.key),
        own=picture.own.mirror(facts.key),
        namespace=picture.own.namespaces.state(facts.key.namespace),
        overlap=overlap,
    )


def _fill_own(picture: Picture, facts: Facts) -> None:
    here, own = facts.importing, picture.own
    own.services.list((here.service,) if here.service else ())
    own.slices.list(here.slices)
    own.endpoints.list((here.endpoints,) if here.endpoints else ())
    own.namespaces.list((here.namespace,) if here.namespace else ())
    own.families.list(here.cidrs)
    picture.membership = here.membership


def _tables(facts: Facts, offered: Offered) -> Iterator[tuple[ClusterId, ImportTable]]:
    """Yield the table of each cluster of which it is known whether it exports the Service."""
    for cluster, said in facts.buses.items():
        if cluster != facts.importing.cluster and not said.fault and said.announced:
            yield cluster, _table(facts, said)
    there = facts.exporting
    if facts.said.fault and offered.known and there.ranges:
        yield there.cluster, fill(ImportTable(there.cluster), there.ranges, offered.messages)


def _table(facts: Facts, said: OnBus) -> ImportTable:
    announced = said.announced or ClusterAnnounced()
    whole = said.cluster == facts.exporting.cluster and API not in facts.exporting.unread
    messages = _messages(facts, said)
    endless = said.service is not None and said.service.endpoints == "pods" and not whole
    return fill(ImportTable(said.cluster), announced, messages, whole=not endless)


def _messages(facts: Facts, said: OnBus) -> Mapping[Subject, Message]:
    """Return what a stream holds of the Service, by subject."""
    key, found = facts.key, dict[Subject, Message]()
    if said.service is not None:
        where = _subject(said.cluster, Kind.SERVICE, key.namespace, key.name)
        found[where] = said.service
    for name, endpoints in said.endpoints.items():
        found[_subject(said.cluster, Kind.ENDPOINTS, key.namespace, name)] = endpoints
    return found


def _subject(cluster: ClusterId, kind: Kind, namespace: str, name: str) -> Subject:
    return Subject(cluster=cluster, kind=kind, namespace=namespace, name=name)


def _overlap(facts: Facts) -> str:
    """Return why the exporting cluster is refused for its ranges; empty if it is not."""
    stated = refusals.find(facts, REASON)
    if stated is not None:
        return stated.message
    overlaps = _decide(facts).refused.get(facts.exporting.cluster)
    return explain(facts.importing.cluster, overlaps) if overlaps else ""


def _decide(facts: Facts) -> Decision:
    """Decide who takes part, by the record and by what clusters declare."""
    here, membership = facts.importing.cluster, facts.importing.membership
    declared = {
        cluster: declaration_of(cluster, announced)
        for cluster, announced in _announced(facts)
        if cluster not in membership.forgotten
    }
    own = declared.pop(here, None)
    policy = RangePolicy(PRIVATE_RANGES)
    return decide(own, map(policy.limit, declared.values()), membership.admitted, "")


def _announced(facts: Facts) -> Iterator[tuple[ClusterId, ClusterAnnounced]]:
    for cluster in (facts.exporting, facts.importing):
        if cluster.ranges is not None:
            yield cluster.cluster, cluster.ranges
    for cluster_id, said in facts.buses.items():
        if isinstance(said.announced, ClusterAnnounced):
            yield cluster_id, said.announced
