"""Follows the cluster: what each watch says is folded into the tables, and named as touched."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from heliograph.contract.messages import MalformedMessage, NodeAnnounced, decode
from heliograph.contract.subjects import Kind, kind_of, parse_subject
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    NODES,
    SERVICE_CIDRS,
    SERVICES,
    EndpointSlice,
    Node,
    Service,
    ServiceCIDR,
    T,
)
from heliograph.kube.watch import ABSENT_KIND_S, Listed, ListWatch, Upserted, WatchEvent
from heliograph.marks import EXPORT_SELECTOR
from heliograph.measured import Followed
from services.watcher.nodes import NodeTable
from services.watcher.settings import WatcherSettings
from services.watcher.table import NodeName, RangeTable, ServiceKey, ServiceTable

Thing = ServiceKey | NodeName
Touched = Callable[[set[Thing], int], None]
"""Takes the things that changed, and when that was seen (nanoseconds since the Unix epoch)."""

_HEARD_S: Final = 45.0
"""A watch of nodes that live is never silent for so long: each beats every 30 s."""


class ClusterTables:
    """All that the watcher knows of its cluster, kept by `follow`.

    Attributes:
        listed: Set once every kind was listed completely.
    """

    def __init__(
        self,
        client: KubeClient,
        settings: WatcherSettings,
        *,
        touched: Touched,
        ranges_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.services = ServiceTable()
        self.nodes = NodeTable(grace_s=settings.node_grace_s, granularity=settings.kilo_granularity)
        self.ranges = RangeTable()
        self.listed = asyncio.Event()
        self._touched, self._ranges_changed = touched, ranges_changed
        self._kinds_to_list = 4
        self._nodes_listed_at_s = -math.inf
        self._services = ListWatch(client, SERVICES, selection=Selection(labels=EXPORT_SELECTOR))
        self._slices = ListWatch(client, ENDPOINT_SLICES)
        self._nodes = ListWatch(client, NODES)
        self._cidrs = ListWatch(client, SERVICE_CIDRS, look_again_s=ABSENT_KIND_S)

    @property
    def watches(self) -> tuple[Followed, ...]:
        """The watches."""
        return self._services, self._slices, self._nodes, self._cidrs

    @property
    def sizes(self) -> tuple[int, int]:
        """How many Services carry the export label, and how many nodes there are."""
        return sum(1 for _ in self.services.keys()), len(self.nodes.names())  # noqa: SIM118 - a table is no mapping

    @property
    def hears_nodes(self) -> bool:
        """Whether silence of a node is its own: the watch brought something lately."""
        heard_at_s = max(self._nodes.heard_at_s, self._nodes_listed_at_s)
        return self._nodes.alive and time.monotonic() - heard_at_s < _HEARD_S

    def things(self) -> set[Thing]:
        """Return everything that may be announced."""
        return {*self.services.keys(), *(NodeName(name) for name in self.nodes.names())}

    def remember(self, live: Mapping[str, bytes]) -> None:
        """Take the nodes that the stream holds, for those that say nothing at the moment."""
        now_s = time.time()
        nodes = ((t, p) for t, p in live.items() if kind_of(t) is Kind.NODE)
        for text, payload in nodes:
            subject = parse_subject(text)
            with suppress(MalformedMessage):
                message = decode(subject, payload)
                if isinstance(message, NodeAnnounced):
                    self.nodes.remember(subject.name, message, now_s=now_s)

    def answer(self, host: str, addresses: tuple[str, ...]) -> None:
        """Take what a name among the endpoints resolves to, nothing if it does not."""
        names = self.nodes.answer(host, addresses, now_s=time.time())
        self._touched({NodeName(name) for name in names}, time.time_ns())

    def expire(self) -> None:
        """Let time pass for the nodes, but for those that may just not be heard."""
        if self.hears_nodes:
            with self._ranges_watched():
                names = self.nodes.expire(now_s=time.time())
            self._touched({NodeName(name) for name in names}, time.time_ns())

    async def follow(self) -> None:
        """Follow all kinds, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(self._services, self._fold_service))
            tasks.create_task(self._follow(self._slices, self._fold_slice))
            tasks.create_task(self._follow(self._nodes, self._fold_node))
            tasks.create_task(self._follow(self._cidrs, self._fold_cidr))

    async def _follow(
        self, watch: ListWatch[T], fold: Callable[[WatchEvent[T]], set[Thing]]
    ) -> None:
        first = True
        async for event in watch.events():
            self._touched(fold(event), event.seen_at_ns)
            del event  # a listing is large, and the next event may be hours away
            if first:
                first = False
                self._kinds_to_list -= 1
                if not self._kinds_to_list:
                    self.listed.set()

    def _fold_service(self, event: WatchEvent[Service]) -> set[Thing]:
        match event:
            case Listed():
                return set(self.services.list_services(event.items))
            case Upserted():
                return set(self.services.put_service(event.object))
            case _:
                return set(self.services.drop_service(event.object))

    def _fold_slice(self, event: WatchEvent[EndpointSlice]) -> set[Thing]:
        match event:
            case Listed():
                return set(self.services.list_slices(event.items))
            case Upserted():
                return set(self.services.put_slice(event.object))
            case _:
                return set(self.services.drop_slice(event.object))

    def _fold_node(self, event: WatchEvent[Node]) -> set[Thing]:
        with self._ranges_watched():
            names = self._fold_facts(event, now_s=time.time())
        return {NodeName(name) for name in names}

    @contextmanager
    def _ranges_watched(self) -> Iterator[None]:
        """Tell when the body changes the ranges of the nodes."""
        before = self.nodes.changes_of_ranges()
        yield
        if self.nodes.changes_of_ranges() != before:
            self._ranges_changed()

    def _fold_facts(self, event: WatchEvent[Node], *, now_s: float) -> set[str]:
        match event:
            case Listed():
                self._nodes_listed_at_s = time.monotonic()
                return self.nodes.list(event.items, now_s=now_s)
            case Upserted():
                return self.nodes.put(event.object, now_s=now_s)
            case _:
                return self.nodes.drop(event.object.metadata.name)

    def _fold_cidr(self, event: WatchEvent[ServiceCIDR]) -> set[Thing]:
        match event:
            case Listed():
                self.ranges.list(event.items)
            case Upserted():
                self.ranges.put(event.object)
            case _:
                self.ranges.drop(event.object)
        self._ranges_changed()
        return set()
