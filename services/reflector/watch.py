"""Follows the importing cluster: what each watch says is folded into the table of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    SERVICE_CIDRS,
    SERVICES,
    KubeObject,
    T,
)
from heliograph.kube.watch import ABSENT_KIND_S, Listed, ListWatch, Upserted, WatchEvent
from heliograph.marks import MANAGED_SELECTOR
from heliograph.measured import Followed
from services.reflector.own import OwnCluster
from services.reflector.table import ServiceKey

_FRESH_S: Final = 0.1

N_contra = TypeVar("N_contra", bound=KubeObject, contravariant=True)
C = TypeVar("C")
R_co = TypeVar("R_co", covariant=True)


class Touched(Protocol):
    """Takes the mirrors that news concern."""

    def __call__(self, keys: set[ServiceKey], *, live: bool) -> None:
        """`live`: one change concerns them; otherwise a whole listing."""


class _Table(Protocol[N_contra, R_co]):
    """What a watch is folded into; tells each time what that changed."""

    def list(self, objects: Iterable[N_contra], /) -> R_co: ...

    def put(self, obj: N_contra, /) -> R_co: ...

    def drop(self, obj: N_contra, /) -> R_co: ...


class OwnWatch:
    """Keeps the table of the importing cluster.

    Services are watched whoever owns them, so that a foreign one is known before a mirror would
    stand in its place. Slices and Endpoints are watched by our label: controllers copy it to those
    that they make for our mirrors.

    Attributes:
        listed: Set once every kind was listed completely.
    """

    def __init__(
        self,
        client: KubeClient,
        own: OwnCluster,
        *,
        touched: Touched,
        namespaces_changed: Callable[[set[str]], None],
        families_changed: Callable[[], None],
    ) -> None:
        self._own = own
        self._touched = touched
        self._namespaces_changed = namespaces_changed
        self._families_changed = families_changed
        self._kinds_to_list = 5
        self.listed = asyncio.Event()
        self._services = ListWatch(client, SERVICES)
        ours = Selection(labels=MANAGED_SELECTOR)
        self._slices = ListWatch(client, ENDPOINT_SLICES, selection=ours)
        self._endpoints = ListWatch(client, ENDPOINTS, selection=ours)
        self._namespaces = ListWatch(client, NAMESPACES)
        self._cidrs = ListWatch(client, SERVICE_CIDRS, look_again_s=ABSENT_KIND_S)

    @property
    def alive(self) -> bool:
        """Whether everything is listed, and every watch is open."""
        return self.listed.is_set() and all(one.alive or one.absent for one in self.watches)

    @property
    def watches(self) -> tuple[Followed, ...]:
        """The watches."""
        return self._services, self._slices, self._endpoints, self._namespaces, self._cidrs

    @property
    def fresh(self) -> bool:
        """Whether a Service that others have made is known, unless they are making it right now."""
        return time.monotonic() - self._services.heard_at_s < _FRESH_S

    async def follow(self) -> None:
        """Follow all kinds, for ever."""
        own = self._own
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(self._services, own.services, self._on_mirrors))
            tasks.create_task(self._follow(self._slices, own.slices, self._on_mirrors))
            tasks.create_task(self._follow(self._endpoints, own.endpoints, self._on_mirrors))
            tasks.create_task(self._follow(self._namespaces, own.namespaces, self._on_namespaces))
            tasks.create_task(self._follow(self._cidrs, own.families, self._on_families))

    async def _follow(
        self, watch: ListWatch[T], table: _Table[T, C], tell: Callable[[C, WatchEvent[T]], None]
    ) -> None:
        first = True
        async for event in watch.events():
            tell(_fold(table, event), event)
            del event  # a listing is large, and the next event may be hours away
            if first:
                first = False
                self._kinds_to_list -= 1
                if not self._kinds_to_list:
                    self.listed.set()

    def _on_mirrors(self, keys: set[ServiceKey], event: WatchEvent[T]) -> None:
        self._touched(keys, live=not isinstance(event, Listed))

    def _on_namespaces(self, names: set[str], _: object) -> None:
        self._namespaces_changed(names)

    def _on_families(self, changed: bool, _: object) -> None:  # noqa: FBT001 - what a fold returns
        if changed:
            self._families_changed()


def _fold(table: _Table[T, C], event: WatchEvent[T]) -> C:
    match event:
        case Listed():
            return table.list(event.items)
        case Upserted():
            return table.put(event.object)
        case _:
            return table.drop(event.object)
