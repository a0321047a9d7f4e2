"""All that is known of exports and of the own cluster, and the plan for a mirror from it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator

from heliograph.contract.names import ClusterId
from heliograph.kube.objects import Namespace
from services.reflector.admission import Admission
from services.reflector.desired import Importing, desire_mirror, may_import
from services.reflector.mirror import DesiredMirror
from services.reflector.operations import Plan, Situation
from services.reflector.own import OwnCluster
from services.reflector.plan import plan_mirror, present_spec, unheard
from services.reflector.settings import ReflectorSettings
from services.reflector.table import Export, ImportTable, Presence, ServiceKey


class Picture:
    """What the plans of one importing cluster are made from.

    Attributes:
        own: The importing cluster.
        exports: The exporting clusters' tables.
    """

    def __init__(self, importing: ClusterId, settings: ReflectorSettings) -> None:
        self.own = OwnCluster()
        self.exports: dict[ClusterId, ImportTable] = {}
        self._importing = importing
        self._create_namespaces = settings.create_namespaces
        self._import_from = frozenset(e.partition("=")[0] for e in settings.import_from)
        self._admission = Admission(settings)

    def plan(self, key: ServiceKey) -> Plan:
        """Return what to do about one mirror now."""
        own = self.own.mirror(key)
        situation = Situation(
            key=key,
            importing=self._importing,
            desired=DesiredMirror(),
            own=own,
            slice_named=lambda name: self.own.slices.named(key.namespace, name),
            presence=lambda cluster: self._presence(cluster, key),
            namespace=self.own.namespaces.state(key.namespace),
            create_namespaces=self._create_namespaces,
        )
        frozen = present_spec(own) if unheard(situation) else None
        importing = Importing(
            cluster=self._importing,
            families=self.own.families.families(),
            admission=self._admission,
        )
        desired = desire_mirror(key, self._exports(key), importing, frozen)
        return plan_mirror(situation.with_desired(desired))

    def concerns(self, key: ServiceKey) -> bool:
        """Tell whether anybody exports the Service, or anything of ours stands under its name."""
        return key in self.own or any(key in table for table in self.exports.values())

    def exporting(self, key: ServiceKey) -> tuple[ClusterId, ...]:
        """Return the clusters that export a Service."""
        return tuple(cluster for cluster, table in self.exports.items() if key in table)

    def imports_from(self, exporting: ClusterId) -> bool:
        """Tell whether mirrors may point at a cluster, as whoever runs this one has set."""
        return not self._import_from or exporting in self._import_from

    def keys_in(self, namespaces: Container[str]) -> set[ServiceKey]:
        """Return the mirrors that are, or should be, in some namespaces."""
        return {key for key in self.keys() if key.namespace in namespaces}

    def keys(self) -> set[ServiceKey]:
        """Return every mirror that is, or should be."""
        exported = (key for table in self.exports.values() for key in table.keys())  # noqa: SIM118
        return {*exported, *self.own.mirrors()}

    def keys_from(self, exporting: ClusterId) -> set[ServiceKey]:
        """Return the mirrors that point at a cluster."""
        return {key for key in self.own.mirrors() if exporting in self.own.mirror(key).exporting()}

    def unneeded_namespaces(self) -> tuple[Namespace, ...]:
        """Return the namespaces of ours in which no mirror is or should be; none if in doubt."""
        tables = self.exports.values()
        ours = self.own.namespaces.ours()
        if not ours or not tables or not all(table.complete for table in tables):
            return ()
        needed = {key.namespace for key in (*self.own.mirrors(), *self._meant_for_us())}
        return tuple(n for n in ours if n.metadata.name not in needed)

    def _meant_for_us(self) -> Iterator[ServiceKey]:
        for table in self.exports.values():
            for key in table.keys():  # noqa: SIM118 - a table is no mapping
                export = table.export(key)
                if export is not None and may_import(export.service, self._importing):
                    yield key

    def _presence(self, cluster: ClusterId, key: ServiceKey) -> Presence:
        if not self.imports_from(cluster):
            return Presence.WITHDRAWN  # it was taken off the list
        table = self.exports.get(cluster)
        return Presence.UNKNOWN if table is None else table.presence(key)

    def _exports(self, key: ServiceKey) -> Iterator[Export]:
        for table in self.exports.values():
            export = table.export(key)
            if export is not None:
                yield export
