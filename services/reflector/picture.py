"""All that is known of exports and of the own cluster, and the plan for a mirror from it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from collections.abc import Set as AbstractSet

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kube.objects import Namespace
from heliograph.membership.record import Membership
from services.reflector.admission import Admission
from services.reflector.backends import silenced
from services.reflector.desired import Importing, desire_mirror, may_import, sorted_exports
from services.reflector.holds import Holds, Limits, News
from services.reflector.mirror import MirrorSlice
from services.reflector.operations import Plan, Situation
from services.reflector.own import OwnCluster, OwnMirror, exporting_of
from services.reflector.plan import plan_mirror, present_spec
from services.reflector.settings import ReflectorSettings
from services.reflector.table import Export, ImportTable, Presence, ServiceKey


class Picture:
    """What the plans of one importing cluster are made from.

    Attributes:
        importing: The importing cluster's id.
        own: The importing cluster.
        exports: The exporting clusters' tables.
        membership: What people decided about the ClusterSet.
        holds: Removals that wait.
        refused: Clusters whose ranges overlap with somebody's: nothing new of theirs is mirrored,
            and what is mirrored already stays, not ready.
        silent: Clusters that are neither heard of nor answering: none of their addresses is ready.
    """

    def __init__(self, importing: ClusterId, settings: ReflectorSettings) -> None:
        self.own = OwnCluster()
        self.exports: dict[ClusterId, ImportTable] = {}
        self.membership = Membership()
        self.holds = Holds(Limits(hold_s=settings.hold_s))
        self.refused: frozenset[ClusterId] = frozenset()
        self.silent: frozenset[ClusterId] = frozenset()
        self.importing = importing
        self._create_namespaces = settings.create_namespaces
        self._hold_s = settings.hold_s
        self._import_from = frozenset(e.partition("=")[0] for e in settings.import_from)
        self._admission = Admission(settings)

    def plan(self, key: ServiceKey) -> Plan:
        """Return what to do about one mirror now."""
        own = self.own.mirror(key)
        unheard, refused = self._unheard(key, own), self._refused(key, own)
        frozen = present_spec(own) if unheard or self._decider(key) in refused else None
        desired = desire_mirror(key, self._exports(key), self._importer(), frozen)
        muted = refused | (self.silent & (unheard | desired.partial))
        situation = Situation(
            key=key,
            importing=self.importing,
            desired=msgspec.structs.replace(
                desired, slices={**_silenced_slices(own, muted), **desired.slices}
            ),
            own=own,
            slice_named=lambda name: self.own.slices.named(key.namespace, name),
            kept=unheard | refused,
            namespace=self.own.namespaces.state(key.namespace),
            create_namespaces=self._create_namespaces,
        )
        return plan_mirror(situation)

    def _importer(self) -> Importing:
        return Importing(
            cluster=self.importing,
            families=self.own.families.families(),
            admission=self._admission,
            silent=self.silent,
        )

    def needs_plan(self, key: ServiceKey) -> bool:
        """Tell whether a plan could do anything about what stands in the own cluster.

        Not when nobody is known to export the Service, and those that it points at have not spoken:
        then it stays, and is planned when they have. So a restart plans each mirror once. But one
        that points at a silent cluster does not stay as it is.
        """
        own = self.own.mirror(key)
        if self.silent and not self.silent.isdisjoint(own.exporting()):
            return True
        if any(key in table for table in self._tables()):
            return any(table.announced for table in self._tables() if key in table)
        return own.foreign is not None or own.exporting() != self._unheard(key, own)

    def _unheard(self, key: ServiceKey, own: OwnMirror) -> frozenset[ClusterId]:
        """Return the clusters that a mirror points at, and that have not said if they export."""
        pointed_at = own.exporting()
        return frozenset(c for c in pointed_at if self._presence(c, key) is Presence.UNKNOWN)

    def _refused(self, key: ServiceKey, own: OwnMirror) -> frozenset[ClusterId]:
        """Return the refused clusters that a mirror points at, and that have not withdrawn it."""
        if not self.refused or self._admission.denies_namespace(key.namespace):
            return frozenset()
        refused = self.refused & own.exporting()
        return frozenset(c for c in refused if self._presence(c, key) is not Presence.WITHDRAWN)

    def _decider(self, key: ServiceKey) -> ClusterId | None:
        """Return the cluster whose export would decide about the mirror if none were refused."""
        if not self.refused:
            return None
        return next((e.cluster for e in sorted_exports(self._known(key), self.importing)), None)

    def concerns(self, key: ServiceKey) -> bool:
        """Tell whether anybody exports the Service, or anything of ours stands under its name."""
        return key in self.own or any(key in table for table in self._tables())

    def exporting(self, key: ServiceKey) -> tuple[ClusterId, ...]:
        """Return the clusters that export a Service."""
        return tuple(table.cluster for table in self._tables() if key in table)

    def listed(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster is one of those to import from, by the settings."""
        return not self._import_from or exporting in self._import_from

    def imports_from(self, exporting: ClusterId) -> bool:
        """Tell whether mirrors may point at a cluster, as whoever runs this one has decided."""
        member = not self.membership.left and exporting not in self.membership.forgotten
        return member and self.listed(exporting)

    def awaits(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster is to be heard of: people want it, and it has not left."""
        return self.imports_from(exporting) and self.exports[exporting].left_at is None

    def heard(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster has said all that it exports."""
        table = self.exports.get(exporting)
        return table is not None and table.complete

    @property
    def complete(self) -> bool:
        """Whether every cluster that is imported from has said all that it exports."""
        return all(table.complete for table in self._tables())

    def removals(self, exporting: ClusterId, keys: Iterable[ServiceKey]) -> set[ServiceKey]:
        """Return the mirrors that point at a cluster which exports them no more.

        Not those of a cluster that left, or that people want nothing from.
        """
        table = self.exports[exporting]
        if table.left_at is not None or not self.imports_from(exporting):
            return set()
        gone = (key for key in keys if table.presence(key) is Presence.WITHDRAWN)
        return {key for key in gone if exporting in self.own.mirror(key).exporting()}

    def explain_hold(self, news: News) -> str:
        """Return what is held, why, for how long, and what to do, in words."""
        here, there = self.importing, news.exporting
        return (
            f"cluster {there} withdraws most of its {news.mirrors} mirrors in cluster {here} at "
            f"once ({news.removals} so far); they are kept as they are for {self._hold_s:g} s. If "
            f"that is right, let them go with 'heliograph confirm {there}' in cluster {here}; if "
            f"not, look at {there}'s watcher: what it exports again stays."
        )

    def keys_in(self, namespaces: Container[str]) -> set[ServiceKey]:
        """Return the mirrors that are, or should be, in some namespaces."""
        return {key for key in self.keys() if key.namespace in namespaces}

    def keys(self) -> set[ServiceKey]:
        """Return every mirror that is, or should be."""
        exported = (key for table in self._tables() for key in table.keys())  # noqa: SIM118
        return {*exported, *self.own.mirrors()}

    def keys_from(
        self, exporting: ClusterId, *, besides: AbstractSet[ServiceKey] = frozenset()
    ) -> set[ServiceKey]:
        """Return the mirrors that point at a cluster, but for those that need no look."""
        keys = self.own.mirrors() - besides
        return {key for key in keys if exporting in self.own.mirror(key).exporting()}

    def unneeded_namespaces(self) -> tuple[Namespace, ...]:
        """Return the namespaces of ours in which no mirror is or should be; none if in doubt."""
        ours = self.own.namespaces.ours()
        if not ours or not self.exports or not self.complete:
            return ()
        needed = {key.namespace for key in (*self.own.mirrors(), *self._meant_for_us())}
        return tuple(n for n in ours if n.metadata.name not in needed)

    def _meant_for_us(self) -> Iterator[ServiceKey]:
        for table in self._tables():
            for key in table.keys():  # noqa: SIM118 - a table is no mapping
                export = table.export(key)
                if export is not None and may_import(export.service, self.importing):
                    yield key

    def _presence(self, cluster: ClusterId, key: ServiceKey) -> Presence:
        if not self.imports_from(cluster):
            return Presence.WITHDRAWN  # people want nothing from it
        table = self.exports.get(cluster)
        if table is None:
            left = cluster in self.membership.departed
            return Presence.WITHDRAWN if left else Presence.UNKNOWN
        return Presence.UNKNOWN if self.holds.waits(cluster, key) else table.presence(key)

    def _tables(self) -> Iterator[ImportTable]:
        """Yield the tables of the clusters that are imported from."""
        return (table for name, table in self.exports.items() if self.imports_from(name))

    def _exports(self, key: ServiceKey) -> Iterator[Export]:
        """Yield the exports of clusters that are not refused."""
        return (export for export in self._known(key) if export.cluster not in self.refused)

    def _known(self, key: ServiceKey) -> Iterator[Export]:
        for table in self._tables():
            export = table.export(key)
            if export is not None:
                yield export


def _silenced_slices(own: OwnMirror, muted: Container[ClusterId]) -> dict[str, MirrorSlice]:
    found = ((name, item, exporting_of(item)) for name, item in own.slices.items())
    return {name: silenced(item, cluster) for name, item, cluster in found if cluster in muted}
