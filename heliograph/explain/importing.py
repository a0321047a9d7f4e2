"""The links in the importing cluster: admission, namespace, mirror, slices. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from heliograph.admission.explain import REASON
from heliograph.contract.messages import ServiceExported
from heliograph.explain import refusals
from heliograph.explain.facts import API, MEMBERSHIP, Facts
from heliograph.explain.foreseen import Foreseen
from heliograph.explain.link import (
    Link,
    Name,
    broken,
    not_concerned,
    ok,
    refused,
    unknown,
)
from heliograph.explain.offered import Offered
from heliograph.kube.objects import EndpointSlice
from heliograph.marks import IMPORTERS_ANNOTATION, SOURCE_CLUSTER_LABEL
from services.reflector.desired import may_import
from services.reflector.operations import (
    CreateService,
    CreateSlice,
    DeleteService,
    DeleteSlice,
    Operation,
    ReplaceService,
    ReplaceSlice,
)
from services.reflector.own import exporting_of
from services.reflector.reasons import not_wanted

_NAMESPACE: Final = ("NamespaceDenied", "NamespaceMissing", "NamespaceTerminating")
_MIRROR: Final = ("ForeignObject", "NoCommonFamily", "TypeConflict", "FamilyConflict", "Rejected")
_PASSED: Final = frozenset({"ForeignObject", "Rejected"})
"""Refusals that are over once the mirror is as it should be, whatever is still stated."""

_OF_SERVICE: Final = (CreateService, ReplaceService, DeleteService)
_OF_SLICES: Final = (CreateSlice, ReplaceSlice, DeleteSlice)


class Importing:
    """The four links, as one judges them: each may be the consequence of one before it."""

    def __init__(self, facts: Facts, offered: Offered, foreseen: Foreseen) -> None:
        self._facts, self._foreseen = facts, foreseen
        self._here, self._there = facts.importing.cluster, facts.exporting.cluster
        self._exported = offered.service if facts.said.fault else facts.said.service
        self._unsure = not offered.known and bool(facts.said.fault)
        self._pointed = self._there in foreseen.own.exporting()

    def links(self) -> tuple[Link, ...]:
        """Return them in order."""
        admission = self._admission()
        namespace = self._namespace()
        stopped = admission.state == "broken" or namespace.state == "broken"
        mirror = self._mirror(stopped=stopped)
        absent = stopped or mirror.state in {"broken", "not concerned", "unknown"}
        return (admission, namespace, mirror, self._slice(absent=absent))

    def _admission(self) -> Link:
        membership = self._facts.importing.membership
        if membership.left or self._there in membership.forgotten:
            why = not_wanted(self._here, self._there, left=membership.left)
            return refused("admission", why.reason, why.message)
        if self._foreseen.overlap:
            return refused("admission", REASON, self._foreseen.overlap)
        if self._exported and not may_import(self._exported, self._here):
            return self._not_an_importer(self._exported)
        unread = self._facts.importing.unread.get(MEMBERSHIP)
        if unread is not None:
            return unknown("admission", unread)
        return ok("admission", f"cluster {self._here} takes Services of cluster {self._there}")

    def _not_an_importer(self, exported: ServiceExported) -> Link:
        names = ", ".join(exported.importers or ()) or "nobody"
        return broken(
            "admission",
            "NotAnImporter",
            f"Service {self._facts.key} of cluster {self._there} is meant for {names}, and not for "
            f"{self._here}",
            f"add {self._here} to its annotation {IMPORTERS_ANNOTATION}, or take that away",
        )

    def _namespace(self) -> Link:
        for reason in _NAMESPACE:
            if (found := self._refusal("namespace", reason)) is not None:
                return found
        if self._exported is None and self._foreseen.namespace == "Missing":
            return not_concerned("namespace", "nothing is to be mirrored")
        namespace, state = self._facts.key.namespace, self._foreseen.namespace
        if state != "Active":
            return not_concerned("namespace", f"namespace {namespace} is {state.lower()}")
        return ok("namespace", f"namespace {namespace} is in cluster {self._here}")

    def _mirror(self, *, stopped: bool) -> Link:
        for reason in _MIRROR:
            if (found := self._refusal("mirror", reason)) is not None:
                return found
        if self._exported is None:
            return self._without_export()
        if self._foreseen.own.service is None:
            if stopped:
                return not_concerned("mirror", "none is made")
            return self._lags("mirror", "MirrorMissing", "has no mirror of it yet")
        if self._operations(_OF_SERVICE):
            return self._lags("mirror", "MirrorDiffers", "has a mirror that is not as it should be")
        return ok("mirror", f"Service {self._facts.key} in cluster {self._here} is its mirror")

    def _without_export(self) -> Link:
        if not self._pointed and self._unsure:
            return unknown("mirror", f"there is none, and who knows if {self._there} exports it")
        if not self._pointed:
            return not_concerned("mirror", "nothing is to be mirrored")
        if self._unsure:
            return ok("mirror", f"Service {self._facts.key} in cluster {self._here} is its mirror")
        held = self._facts.importing.held.get(self._there)
        if held:
            return broken("mirror", "RemovalHeld", *_held(held, self._there, self._here))
        return self._lags("mirror", "MirrorLeft", "still has a mirror of it")

    def _slice(self, *, absent: bool) -> Link:
        if (found := self._refusal("slice", "AddressOutsideRanges")) is not None:
            return found
        slices = tuple(self._slices())
        if not slices:
            return self._no_slice(absent=absent)
        if self._exported is not None and self._operations(_OF_SLICES):
            return self._lags("slice", "SliceDiffers", "has slices that are not as they should be")
        return self._addresses(slices)

    def _no_slice(self, *, absent: bool) -> Link:
        if absent:
            return not_concerned("slice", "there is no mirror to have one")
        if not self._operations(_OF_SLICES):
            return broken(
                "slice",
                "NoAddress",
                f"the mirror in cluster {self._here} points at no address of {self._there}",
                f"see whether Service {self._facts.key} in {self._there} has backends, and ports "
                f"as those of the oldest export of that name",
            )
        return self._lags("slice", "SliceMissing", f"has no slice that points at {self._there}")

    def _addresses(self, slices: tuple[EndpointSlice, ...]) -> Link:
        found = [e for item in slices for e in item.endpoints or ()]
        ready = [e for e in found if e.conditions.ready is not False]
        shown = ", ".join(a for e in (ready or found)[:3] for a in e.addresses)
        more = " and more" if len(ready or found) > 3 else ""  # noqa: PLR2004 - as many as shown
        if ready:
            return ok("slice", f"it points at {shown}{more}")
        if not found:
            return self._lags("slice", "NoAddress", f"points at no address of {self._there}")
        return broken(
            "slice",
            "NotReady",
            f"the mirror in cluster {self._here} points at {shown}{more}, of which none is ready",
            "mend the link above that is broken: a cluster that is refused or silent, or a Service "
            "without backends, is kept, but gets no traffic",
        )

    def _refusal(self, link: Name, reason: str) -> Link | None:
        """Return a refusal that stands: by what is known here, or as the reflector states it."""
        found = self._foreseen.refusal(self._there, reason)
        if found is not None:
            return refused(link, reason, found.message)
        stated = (one for one in refusals.of_service(self._facts) if one.reason == reason)
        for one in stated:
            if not self._is_over(reason):
                return refused(link, reason, one.message)
        return None

    def _is_over(self, reason: str) -> bool:
        """Tell whether what is stated is not so any more, as far as that can be seen here."""
        if reason in {"NamespaceMissing", "NamespaceTerminating"}:
            return self._foreseen.namespace == "Active"
        stands = self._foreseen.own.service is not None and not self._foreseen.plan.operations
        return reason in _PASSED and stands

    def _lags(self, link: Name, reason: str, what: str) -> Link:
        """Return that the reflector has not done what is to be done."""
        here, there = self._here, self._there
        return broken(
            link,
            reason,
            f"cluster {here} {what}",
            f"see whether the reflector of cluster {here} runs, what it logs, whether it reaches "
            f"the bus of {there}, and whether its import_from, if set, names {there}",
        )

    def _operations(self, kinds: tuple[type[Operation], ...]) -> bool:
        """Tell whether anything is to be done, but for slices of other exporting clusters."""
        found = (one for one in self._foreseen.plan.operations if isinstance(one, kinds))
        return any(self._concerns_us(one) for one in found)

    def _concerns_us(self, operation: Operation) -> bool:
        if isinstance(operation, CreateSlice | ReplaceSlice):
            labels = operation.slice.metadata.labels
        elif isinstance(operation, DeleteSlice):
            labels = operation.metadata.labels
        else:
            return True
        return labels.get(SOURCE_CLUSTER_LABEL, self._there) == self._there

    def _slices(self) -> Iterator[EndpointSlice]:
        for item in self._foreseen.own.slices.values():
            if exporting_of(item) == self._there:
                yield item


def importing_links(facts: Facts, offered: Offered, foreseen: Foreseen | None) -> tuple[Link, ...]:
    """Return the four links."""
    if foreseen is None:
        return _by_statements(facts)
    return Importing(facts, offered, foreseen).links()


def addresses(facts: Facts) -> tuple[str, ...]:
    """Return the addresses by which the mirror reaches the exporting cluster."""
    there = facts.exporting.cluster
    slices = (item for item in facts.importing.slices if exporting_of(item) == there)
    found = (a for item in slices for e in item.endpoints or () for a in e.addresses)
    return tuple(dict.fromkeys(found))


def _by_statements(facts: Facts) -> tuple[Link, ...]:
    """Return the links as far as the reflector's statements tell, where nothing else is known."""
    why = facts.importing.unread[API]
    reasons: dict[Name, tuple[str, ...]] = {
        "admission": (REASON,),
        "namespace": _NAMESPACE,
        "mirror": _MIRROR,
        "slice": ("AddressOutsideRanges",),
    }
    links = []
    for name, possible in reasons.items():
        found = (refusals.find(facts, reason) for reason in possible)
        one = next((f for f in found if f is not None), None)
        links.append(refused(name, one.reason, one.message) if one else unknown(name, why))
    return tuple(links)


def _held(message: str, exporting: str, importing: str) -> tuple[str, str]:
    what = message.partition(". If that is right")[0]
    cure = (
        f"'heliograph confirm {exporting}' in cluster {importing} lets them go; if that is not "
        f"right, look at the watcher of {exporting}: what it exports again stays"
    )
    return what, cure
