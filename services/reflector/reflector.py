"""The reflector, put together: consume exports, follow the own cluster, plan, apply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from heliograph.admission.declaration import Decision, declaration_of
from heliograph.admission.policy import RangePolicy
from heliograph.bus import Connection
from heliograph.contract.messages import ClusterAnnounced
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.subjects import Kind
from heliograph.health import Condition, all_hold
from heliograph.imports.consume import Cause, Discovery, Found, ImportBus, Importer, Told
from heliograph.imports.heard import Heard
from heliograph.imports.own_ranges import OwnRanges
from heliograph.imports.waiting import Waiting
from heliograph.kube.client import KubeClient
from heliograph.membership.admissions import Admissions
from heliograph.membership.record import Membership
from heliograph.metrics import Metrics
from heliograph.progress.backlog import Backlog
from heliograph.pulse import Pulse
from heliograph.queue import Queue, Urgency
from heliograph.telemetry import Telemetry
from services.reflector.apply import Applier
from services.reflector.holding import Holding
from services.reflector.members import Members
from services.reflector.mirror import Refusal
from services.reflector.namespaces import NamespaceSweeper
from services.reflector.picture import Picture
from services.reflector.reconcile import Reconciler
from services.reflector.refusals import RefusalBoard
from services.reflector.refused_clusters import RefusedClusters
from services.reflector.settings import ReflectorSettings
from services.reflector.silence import Silence
from services.reflector.table import ImportTable, ServiceKey
from services.reflector.vitals import Vitals
from services.reflector.watch import OwnWatch
from services.reflector.working import Heed, Worker

_LOOK_S: Final = 0.5
_LOOK_AT_WATCH_S: Final = 0.01
"""How often to look whether everything has caught up; a watch does not tell that it was opened."""

_log = structlog.get_logger()


class Reflector:
    """Keeps the mirrors of one cluster, until cancelled.

    Attributes:
        pulse: Beats while its work goes on.
    """

    def __init__(
        self,
        settings: ReflectorSettings,
        client: KubeClient,
        *,
        home: Connection,
        buses: Sequence[ImportBus],
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `home` is the own cluster's bus, `buses` those of the exporting clusters."""
        self._settings = settings
        self._importing: ClusterId = parse_cluster_id(settings.cluster)
        self._buses, self.pulse = buses, Pulse()
        self._metrics = metrics
        self._picture = Picture(self._importing, settings)
        self._queue: Queue[ServiceKey] = Queue()
        self._progress = asyncio.Event()
        self._importers: set[ClusterId] = set()
        self._waiting: Waiting[ServiceKey] = Waiting(self._importing, telemetry, metrics)
        self._refusals = RefusalBoard(
            self._importing,
            home,
            client,
            telemetry=telemetry,
            metrics=metrics,
            found=self._picture.own.services.metadata,
        )
        self._holding = Holding(
            self._picture, client, settings.namespace, metrics=metrics, look_at=self._look_at
        )
        self._members = Members(
            client,
            settings.namespace,
            changed=self._on_membership,
            confirmed=self._holding.confirm,
        )
        self._refused = RefusedClusters(self._importing, metrics)
        self._silence = Silence(
            settings, home, client, changed=self._on_silence, telemetry=telemetry, metrics=metrics
        )
        self._admissions = Admissions(
            client,
            settings.namespace,
            self._importing,
            policy=RangePolicy(settings.admitted_ranges),
            changed=self._on_decision,
        )
        self._own_ranges = OwnRanges(
            self._importing, self._admissions, client=client, home=home, program=metrics.program
        )
        self._worker = self._make_worker(client)
        self._sweeper = NamespaceSweeper(client, self._picture.unneeded_namespaces, metrics)
        self._watch = OwnWatch(
            client,
            self._picture.own,
            touched=self._on_own,
            namespaces_changed=self._on_namespaces,
            families_changed=lambda: self._look_at(self._picture.keys()),
        )
        self._vitals = self._make_vitals(home)

    def _make_reconciler(self, client: KubeClient) -> Reconciler:
        applier = Applier(
            client,
            self._picture.own,
            self._metrics,
            is_fresh=lambda: self._watch.fresh,
            created=self._refusals.mirrored,
        )
        return Reconciler(self._picture, applier, self._waiting, metrics=self._metrics)

    def _make_worker(self, client: KubeClient) -> Worker:
        return Worker(
            self._queue,
            self._make_reconciler(client),
            self._refusals,
            self._waiting,
            Heed(
                importing=self._importing,
                exporting=self._picture.exporting,
                refused=self._refused_exports,
                settled=self._on_settled,
                looked=self._on_looked,
            ),
        )

    def _make_vitals(self, home: Connection) -> Vitals:
        vitals = Vitals(
            self._picture,
            home,
            self._buses,
            (*self._watch.watches, self._members.watch),
            self._admissions.known.is_set,
        )
        vitals.measure(self._metrics, lambda: len(self._queue))
        return vitals

    @property
    def ready(self) -> bool:
        """Whether the own cluster and every other one is followed right now."""
        return all_hold(self.conditions())

    def conditions(self) -> tuple[Condition, ...]:
        """Return what that takes."""
        return self._vitals.conditions()

    @property
    def _informed(self) -> bool:
        """Whether everything that there is was heard, though it may be a while ago."""
        return self._watch.alive and self._admissions.known.is_set() and self._picture.complete

    def refused(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the reasons why a Service is not mirrored, or not wholly."""
        key = ServiceKey(namespace, name)
        standing = (*self._refusals.standing(key), *self._refused_exports(key))
        return tuple(refusal.reason for refusal in standing)

    def _refused_exports(self, key: ServiceKey) -> tuple[Refusal, ...]:
        """Return why a Service is not mirrored, or not ready, from whole clusters."""
        if not (self._picture.refused or self._picture.silent):
            return ()
        exporting = self._picture.exporting(key)
        return (*self._refused.of(exporting), *self._silence.of(exporting))

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is written, is held, or waits for another attempt."""
        waiting = len(self._queue) or self._queue.retrying or self._holding.waiting
        return self._informed and self._admissions.settled.is_set() and not waiting

    def backlog(self) -> Backlog:
        """Return how many Services are as they should be, and how many are to be looked at."""
        left = len(self._queue) + self._queue.retrying
        return Backlog(max(0, len(self._picture.keys()) - left), left, "Services")

    async def caught_up(self) -> None:
        """Wait until exports are known and confirmed, and every mirror is as it should be."""
        while True:
            await self._admissions.settled.wait()
            if self._importers and self.idle:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self._watch.alive else _LOOK_AT_WATCH_S):
                    await self._progress.wait()
            self._progress.clear()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.pulse.run())
                tasks.create_task(self._watch.follow())
                tasks.create_task(self._refusals.run(self.caught_up))
                tasks.create_task(self._silence.run(self.caught_up))
                tasks.create_task(self._members.run())
                tasks.create_task(self._holding.run())
                if self._settings.create_namespaces:
                    tasks.create_task(self._sweeper.run())
                tasks.create_task(self._admissions.run())
                await self._members.known.wait()
                tasks.create_task(self._own_ranges.run())
                found = self._starter(tasks)
                for bus in self._buses:
                    tasks.create_task(Discovery(bus, found=found).run())
                await self._watch.listed.wait()
                await self._admissions.known.wait()
                await self._silence.known()
                self._on_own(self._picture.own.mirrors(), live=False)
                for _ in range(self._settings.writes_in_flight):
                    tasks.create_task(self._worker.run())
        finally:
            self._queue.close()
            self._waiting.close()

    def _starter(self, tasks: asyncio.TaskGroup) -> Found:
        """Return what begins to import from a cluster, once."""

        def start(connection: Connection, cluster: ClusterId) -> None:
            known = cluster == self._importing or cluster in self._importers
            if known or not self._picture.listed(cluster):
                return
            left_at = self._picture.membership.departed.get(cluster)
            table = ImportTable(cluster, left_at=left_at)
            importer = Importer(
                connection,
                cluster,
                table,
                metrics=self._metrics,
                told=Told(
                    touched=lambda keys, cause: self._on_export(connection, cluster, keys, cause),
                    completed=self._on_complete,
                    mismatched=lambda cause: self._waiting.complain(connection, cause),
                    departed=self._on_departure,
                    announced=self._on_announced,
                    renewed=self._on_renewed,
                    replayed=lambda cause: self._on_replayed(connection, cause),
                ),
            )
            self._importers.add(cluster)
            self._picture.exports[cluster] = table
            if self._picture.awaits(cluster):
                self._silence.expect(cluster)
            tasks.create_task(importer.run())

        return start

    def _on_export(
        self,
        connection: Connection,
        exporting: ClusterId,
        keys: set[ServiceKey],
        cause: Cause | None,
    ) -> None:
        if not self._picture.imports_from(exporting):
            return
        self._holding.on_export(exporting, keys)
        for key in keys:
            if cause is not None and cause.subject.kind is not Kind.CLUSTER:
                self._waiting.expect(key, connection, cause)
            self._queue.add(key, self._urgency(key, live=cause is not None and cause.live))

    def _on_replayed(self, connection: Connection, cause: Cause) -> None:
        """Take whose trace to refer to, if something is to be done about a Service."""
        subject = cause.subject
        if subject.kind is Kind.SERVICE and self._picture.imports_from(subject.cluster):
            key = ServiceKey(subject.namespace, subject.name)
            self._waiting.expect(key, connection, cause)

    def _on_complete(self, exporting: ClusterId) -> None:
        self._progress.set()
        judged = self._picture.exports[exporting].wholly_heard()
        standing = self._picture.keys_from(exporting, besides=judged)
        self._holding.on_complete(exporting, standing)
        self._look_at(standing)

    def _on_announced(self, exporting: ClusterId, announced: ClusterAnnounced) -> None:
        self._admissions.put(declaration_of(exporting, announced))

    def _on_renewed(self, exporting: ClusterId, lease_s: float, heard: Heard) -> None:
        if self._picture.imports_from(exporting):
            self._silence.renewed(exporting, lease_s, heard)

    def _on_decision(self, decision: Decision) -> None:
        """Take who is refused."""
        changed = self._refused.put(decision)
        self._picture.refused = frozenset(decision.refused)
        self._look_at_all_of(changed)

    def _on_silence(self, changed: set[ClusterId]) -> None:
        """Take who is silent."""
        self._picture.silent = self._silence.silent
        self._look_at_all_of(changed)

    def _look_at_all_of(self, clusters: Iterable[ClusterId]) -> None:
        """Look at all mirrors that some clusters have, or should have."""
        for exporting in clusters:
            table = self._picture.exports.get(exporting)
            exported = set(table.keys()) if table else set()
            self._look_at(exported | self._picture.keys_from(exporting))

    def _on_departure(self, exporting: ClusterId, epoch: int | None) -> None:
        """Take that a cluster left the ClusterSet, or is back."""
        _log.info("cluster is back" if epoch is None else "cluster has left", exporting=exporting)
        self._holding.forget(exporting)
        self._members.departed(exporting, epoch)
        if epoch is not None:
            self._admissions.drop(exporting)
            self._silence.forget(exporting)
        self._look_at(self._picture.keys_from(exporting))

    def _on_membership(self, membership: Membership) -> None:
        """Take what people decided; whatever may depend on it is looked at.

        The record of who was admitted is the programs' own: what it changes, the admissions tell.
        """
        same = membership.decides_as(self._picture.membership)
        self._picture.membership = membership
        self._admissions.follow(membership)
        if same and self._members.known.is_set():
            return
        for exporting in membership.forgotten:
            self._holding.forget(exporting)
        for exporting in self._importers:
            if self._picture.awaits(exporting):
                self._silence.expect(exporting)
            else:
                self._silence.forget(exporting)
        self._look_at(self._picture.keys())

    def _on_own(self, keys: set[ServiceKey], *, live: bool) -> None:
        """Look at what changed here, but for Services that nobody mirrors."""
        if not self._watch.listed.is_set():
            return  # all is looked at once everything is listed
        for key in keys:
            concerned = self._picture.concerns(key) and (live or self._picture.needs_plan(key))
            if concerned or self._refusals.standing(key):
                self._queue.add(key, self._urgency(key, live=live))

    def _on_namespaces(self, names: set[str]) -> None:
        if names:
            self._look_at(self._picture.keys_in(names))

    def _look_at(self, keys: Iterable[ServiceKey]) -> None:
        for key in keys:
            self._queue.add(key, Urgency.BACKLOG)

    def _urgency(self, key: ServiceKey, *, live: bool) -> Urgency:
        if not live:
            return Urgency.BACKLOG
        return Urgency.CHANGE if key in self._picture.own else Urgency.NEW

    def _on_settled(self, key: ServiceKey) -> None:
        """Take that a mirror is as it should be."""
        self._holding.on_settled(key)
        if not self._picture.concerns(key):
            self._sweeper.look()

    def _on_looked(self) -> None:
        self._metrics.retries.set(self._queue.retrying)
        self._progress.set()
