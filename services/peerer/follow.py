"""Follows what the peers of one cluster are decided from: nodes, ranges, people's decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

import msgspec

from heliograph.admission.declaration import Decision
from heliograph.bus import Connection
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind
from heliograph.health import Condition, when
from heliograph.imports.consume import Cause, Discovery, ImportBus, Importer, Told
from heliograph.imports.health import configured, import_conditions
from heliograph.imports.own_ranges import WORD_S, patiently
from heliograph.kube.client import KubeClient
from heliograph.membership.admissions import Admissions, own_declaration
from heliograph.membership.configmap import follow, record_watch
from heliograph.metrics import Metrics
from services.peerer.neighbourhood import Neighbourhood
from services.peerer.own_nodes import read_own_nodes
from services.peerer.table import CLUSTER_ITSELF, NodeTable


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears that something changed which peers are decided from.

    Attributes:
        look_at: The clusters whose peers may have to be others now.
        news: A node changed, by this live message, on this bus.
        mismatched: A stream, read again, still holds something else than this message says.
        listens: A cluster hears on this bus what is said of it.
        progress: A cluster has said all its nodes.
    """

    look_at: Callable[[Iterable[ClusterId]], None]
    news: Callable[[Connection, Cause], None] = lambda *_: None
    mismatched: Callable[[Connection, Cause], Awaitable[None]]
    listens: Callable[[ClusterId, Connection], None] = lambda *_: None
    progress: Callable[[], None] = lambda: None


class Follower:
    """Keeps the neighbourhood of one importing cluster.

    Attributes:
        known: Set once is known what people decided.
        watch: Follows what they decide.
        admissions: Which clusters take part.
    """

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        client: KubeClient,
        *,
        namespace: str,
        metrics: Metrics,
        heard: Heard,
        records: bool = True,
    ) -> None:
        """Prepare.

        Args:
            neighbourhood: What is kept.
            client: The importing cluster.
            namespace: Where its ConfigMap 'clusterset' is.
            metrics: Counts.
            heard: Who hears of changes.
            records: Whether this program writes down who was admitted; else others must.
        """
        self._around, self._client = neighbourhood, client
        self.admissions = Admissions(
            client,
            namespace,
            neighbourhood.importing,
            policy=neighbourhood.policy,
            changed=self._on_decision,
        )
        self.admissions.records = records
        self._importing = neighbourhood.importing
        self._namespace, self._metrics, self._heard = namespace, metrics, heard
        self.watch = record_watch(client, namespace)
        self.known, self._own_heard = asyncio.Event(), asyncio.Event()

    async def begin(
        self, tasks: asyncio.TaskGroup, home: Connection, buses: Sequence[ImportBus]
    ) -> None:
        """Begin to follow, in tasks of their own; return once own ranges and record are known."""
        tasks.create_task(self._follow_membership())
        tasks.create_task(self.admissions.run())
        await self.known.wait()
        self._import(tasks, home, self._importing)
        await self._declare_own()
        for bus in buses:
            tasks.create_task(Discovery(bus, found=self._finder(tasks)).run())
        await self.admissions.known.wait()

    def conditions(self, buses: Sequence[ImportBus]) -> tuple[Condition, ...]:
        """Return what it takes that everything is known from which peers are decided."""
        clusters = {*configured(buses), *self._around.tables}
        return (
            when(
                "decisions",
                self.known.is_set() and self.admissions.known.is_set(),
                "ConfigMap clusterset or the own ranges were not read yet",
            ),
            *import_conditions(
                buses, self._around.heard, filter(self._around.peers_with, clusters)
            ),
        )

    def _on_decision(self, decision: Decision) -> None:
        """Take which clusters are admitted."""
        self._around.decision = decision
        self._around.changed()
        self._heard.look_at(self._around.exporting())

    async def _declare_own(self) -> None:
        """Know the own ranges and nodes before anything is written.

        Later the own watcher's word counts; it is waited for where the record says otherwise.
        """
        self._around.own_nodes = await patiently(lambda: read_own_nodes(self._client))
        own = await patiently(lambda: own_declaration(self._client, self._importing))
        if self.admissions.contradicts(own):
            with suppress(TimeoutError):
                async with asyncio.timeout(WORD_S):
                    await self._own_heard.wait()
        if not self._own_heard.is_set():
            self._around.declared = own
            self.admissions.put(own)
        self._around.changed()

    def _finder(self, tasks: asyncio.TaskGroup) -> Callable[[Connection, ClusterId], None]:
        return lambda connection, cluster: self._import(tasks, connection, cluster)

    def _import(self, tasks: asyncio.TaskGroup, connection: Connection, cluster: ClusterId) -> None:
        """Begin to read a cluster's nodes, once."""
        listed = cluster == self._importing or self._around.listed(cluster)
        if cluster in self._around.tables or not listed:
            return
        left_at = self._around.membership.departed.get(cluster)
        table = self._around.tables[cluster] = NodeTable(cluster, left_at=left_at)
        self._heard.listens(cluster, connection)
        told: Told[str] = Told(
            touched=lambda names, cause: self._on_nodes(connection, cluster, names, cause),
            completed=self._on_complete,
            mismatched=lambda cause: self._heard.mismatched(connection, cause),
            departed=lambda exporting, _: self._on_departure(exporting),
        )
        importer = Importer(connection, cluster, table, metrics=self._metrics, told=told)
        tasks.create_task(importer.run())

    def _on_nodes(
        self, connection: Connection, exporting: ClusterId, names: set[str], cause: Cause | None
    ) -> None:
        contested = self._around.contested()
        self._around.changed()
        if CLUSTER_ITSELF in names:
            self._declare(exporting)
        if cause is not None and cause.live and cause.subject.kind is Kind.NODE:
            self._heard.news(connection, cause)
        concerned = {exporting, *contested, *self._around.contested()}
        of_all = exporting == self._importing
        self._heard.look_at(self._around.exporting() if of_all else concerned)

    def _on_complete(self, exporting: ClusterId) -> None:
        self._heard.progress()
        self._heard.look_at({exporting})

    def _on_departure(self, exporting: ClusterId) -> None:
        """Take that a cluster left the ClusterSet, or is back."""
        self._around.changed()
        self._declare(exporting)
        self._heard.look_at({exporting})

    def _declare(self, cluster: ClusterId) -> None:
        """Let the ranges of a cluster count; those of one that has left are free."""
        declaration = self._around.declaration(cluster)
        if cluster == self._importing and declaration is not None:
            self._around.declared = declaration
            self._own_heard.set()
        if declaration is not None:
            self.admissions.put(declaration)
        elif self._around.tables[cluster].left_at is not None:
            self.admissions.drop(cluster)

    async def _follow_membership(self) -> None:
        """Take what people decided; whatever may depend on it is looked at."""
        async for membership in follow(self.watch, self._namespace):
            self._around.membership = membership
            self._around.changed()
            self.admissions.follow(membership)
            self.known.set()
            self._heard.look_at(self._around.exporting())
