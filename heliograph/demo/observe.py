"""Sees what happens in a cluster and on the bus, as anybody could: by watching."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic

from heliograph.bus import Connection
from heliograph.bus import Message as BusMessage
from heliograph.contract.messages import MalformedMessage, RefusalStated, decode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, kind_filter, parse_subject
from heliograph.demo.holders import Holders
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    EVENTS,
    SERVICES,
    EndpointSlice,
    Event,
    Resource,
    Service,
    T,
)
from heliograph.kube.watch import Listed, ListWatch, Upserted
from heliograph.marks import SERVICE_NAME_LABEL, SOURCE_CLUSTER_LABEL


class Observed(Generic[T]):
    """The objects of one kind in one cluster, by namespace and name."""

    def __init__(
        self, client: KubeClient, resource: Resource[T], changed: Callable[[], None]
    ) -> None:
        self._watch = ListWatch(client, resource)
        self._changed = changed
        self.objects: dict[tuple[str, str], T] = {}

    async def follow(self) -> None:
        """Follow the objects, for ever."""
        async for event in self._watch.events():
            match event:
                case Listed():
                    listed = {(o.metadata.namespace, o.metadata.name): o for o in event.items}
                    self.objects = listed
                case Upserted():
                    metadata = event.object.metadata
                    self.objects[metadata.namespace, metadata.name] = event.object
                case _:
                    metadata = event.object.metadata
                    self.objects.pop((metadata.namespace, metadata.name), None)
            self._changed()


class Observer:
    """What is seen of one cluster: some of its objects, and its refusals on the bus.

    Attributes:
        refusals: All that were stated, in order.
        holders: Which of its Peers held the watched range, event by event.
    """

    def __init__(
        self, cluster: ClusterId, client: KubeClient, bus: Connection, *, watched_cidr: str
    ) -> None:
        self._cluster = cluster
        self._bus = bus
        self._changed = asyncio.Event()
        self._services = Observed(client, SERVICES, self._changed.set)
        self._slices = Observed(client, ENDPOINT_SLICES, self._changed.set)
        self._peers = Observed(client, PEERS, self._on_peers)
        self._events = Observed(client, EVENTS, self._changed.set)
        self.refusals: list[RefusalStated] = []
        self.holders = Holders(watched_cidr)

    async def follow(self) -> None:
        """Follow everything, for ever."""
        await self._bus.subscribe(kind_filter(self._cluster, Kind.REFUSAL), self._on_refusal)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._services.follow())
            tasks.create_task(self._slices.follow())
            tasks.create_task(self._peers.follow())
            tasks.create_task(self._events.follow())

    def service(self, namespace: str, name: str) -> Service | None:
        """Return a Service as last seen."""
        return self._services.objects.get((namespace, name))

    def slices(self, namespace: str, service: str) -> list[EndpointSlice]:
        """Return the EndpointSlices of a Service as last seen."""
        return [
            item
            for item in self._slices.objects.values()
            if item.metadata.namespace == namespace
            and item.metadata.labels.get(SERVICE_NAME_LABEL) == service
        ]

    def peers(self, exporting: str) -> list[Peer]:
        """Return the Peers that stand for another cluster's nodes, by name, as last seen."""
        return [
            peer
            for _, peer in sorted(self._peers.objects.items())
            if peer.metadata.labels.get(SOURCE_CLUSTER_LABEL) == exporting
        ]

    def events(self, reason: str) -> list[Event]:
        """Return the Kubernetes Events with a reason."""
        return [event for event in self._events.objects.values() if event.reason == reason]

    async def wait(self, seen: Callable[[], bool], *, timeout_s: float) -> float | None:
        """Wait until `seen` is true; return the seconds that it took, None if it did not."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                while not seen():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return time.perf_counter() - begun

    def _on_peers(self) -> None:
        self.holders.record(self._peers.objects.values())
        self._changed.set()

    def _on_refusal(self, message: BusMessage) -> None:
        try:
            subject = parse_subject(message.subject)
            decoded = decode(subject, message.payload)
        except MalformedMessage:
            return
        if isinstance(decoded, RefusalStated):
            self.refusals.append(decoded)
            self._changed.set()
