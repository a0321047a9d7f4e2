"""Kubernetes Events: what people see under `kubectl describe`. Best effort, never in the way."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Literal, Protocol

import structlog

from heliograph.errors import HeliographError
from heliograph.kube.objects import EVENTS, Event, ObjectMeta, ObjectReference, Resource, T
from heliograph.pace import Pace, Rate

EventType = Literal["Normal", "Warning"]
_QUEUE: Final = 1000
_REMEMBERED: Final = 10_000
_NOTE_LIMIT: Final = 1024  # bytes, as the API server counts

RATE: Final = Rate(burst=50, per_s=5.0)
"""How many Events a recorder writes: thousands of Services may come at once, and each write costs
etcd as much as one that matters. What waits is written within minutes; API servers keep an hour."""

_log = structlog.get_logger()


class Writes(Protocol):
    """What creates objects: `KubeClient` does."""

    async def create(self, resource: Resource[T], obj: T) -> T:
        """Create an object; raises HeliographError."""


class EventRecorder:
    """Writes each Event once: a reason that stands is not repeated until `forget`.

    Warnings go first. When too many wait, Normal ones are dropped, and then Warnings too; what was
    dropped was not told, and is recorded when it is said again.
    """

    def __init__(
        self,
        client: Writes,
        program: str,
        *,
        counted: Callable[[str], None] = lambda _: None,
        rate: Rate = RATE,
    ) -> None:
        """Prepare; `counted` hears of each Event that it is "written", "failed" or "dropped"."""
        self._client, self._program, self._counted = client, program, counted
        self._pace = Pace(rate)
        self._waiting: dict[EventType, deque[Event]] = {"Warning": deque(), "Normal": deque()}
        self._due = asyncio.Event()
        self._told: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many Events wait."""
        return sum(map(len, self._waiting.values()))

    def record(
        self,
        resource: Resource[T],
        obj: T,
        event: EventType,
        why: tuple[str, str],
    ) -> None:
        """Put an Event about `obj` on the way; `why` is (reason, note)."""
        reason, note = why
        about = obj.metadata.namespace, obj.metadata.name
        if self._told.get(about, {}).get(reason) == note:
            return
        if not self._make_room(event):
            self._counted("dropped")
            return
        self._told.setdefault(about, {})[reason] = note
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        self._waiting[event].append(self._event(resource, obj, event, why))
        self._due.set()

    def forget(self, namespace: str, name: str) -> None:
        """Let the next Event about this object be written, even if it was told before."""
        self._told.pop((namespace, name), None)

    async def run(self) -> None:
        """Write what is recorded, for ever; a refusal is logged and costs that Event only."""
        while True:
            await self._due.wait()
            await self._pace.turn()
            await self._write(self._next())

    def _make_room(self, event: EventType) -> bool:
        """Tell whether one more may wait; a Warning may take a Normal one's place."""
        if len(self) < _QUEUE:
            return True
        normal = self._waiting["Normal"]
        if event == "Normal" or not normal:
            return False
        dropped = normal.pop().regarding
        self.forget(dropped.namespace, dropped.name)
        self._counted("dropped")
        return True

    def _next(self) -> Event:
        event = next(waiting for waiting in self._waiting.values() if waiting).popleft()
        if not len(self):
            self._due.clear()
        return event

    async def _write(self, event: Event) -> None:
        try:
            await self._client.create(EVENTS, event)
        except HeliographError as error:
            self._counted("failed")
            _log.warning("event not written", error=str(error), reason=event.reason)
        else:
            self._counted("written")

    def _event(
        self,
        resource: Resource[T],
        obj: T,
        event: EventType,
        why: tuple[str, str],
    ) -> Event:
        reason, note = why
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        namespace = obj.metadata.namespace or "default"
        return Event(
            metadata=ObjectMeta(generate_name="heliograph-", namespace=namespace),
            event_time=now,
            type=event,
            reason=reason,
            action=reason,
            note=note.encode()[:_NOTE_LIMIT].decode(errors="ignore"),
            reporting_controller=f"heliograph.io/{self._program}",
            reporting_instance=f"{socket.gethostname()}-{os.getpid()}"[:128],
            regarding=ObjectReference(
                api_version=resource.api_version,
                kind=resource.kind,
                namespace=obj.metadata.namespace,
                name=obj.metadata.name,
                uid=obj.metadata.uid,
            ),
        )
