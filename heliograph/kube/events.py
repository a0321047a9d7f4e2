"""Kubernetes Events: what people see under `kubectl describe`. Best effort, never in the way."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
from collections import OrderedDict
from typing import Final, Literal

import structlog

from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import EVENTS, Event, ObjectMeta, ObjectReference, Resource, T

EventType = Literal["Normal", "Warning"]
_QUEUE: Final = 1000
_REMEMBERED: Final = 10_000
_NOTE_LIMIT: Final = 1024  # bytes, as the API server counts
_log = structlog.get_logger()


class EventRecorder:
    """Writes each Event once: a reason that stands is not repeated until `forget`."""

    def __init__(self, client: KubeClient, program: str) -> None:
        self._client = client
        self._program = program
        self._waiting: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        self._told: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def record(
        self,
        resource: Resource[T],
        obj: T,
        event: EventType,
        why: tuple[str, str],
    ) -> None:
        """Put an Event about `obj` on the way; `why` is (reason, note)."""
        reason, note = why
        told = (obj.metadata.namespace, obj.metadata.name, reason)
        if self._told.get(told) == note or self._waiting.full():
            return
        self._told[told] = note
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        self._waiting.put_nowait(self._event(resource, obj, event, why))

    def forget(self, namespace: str, name: str) -> None:
        """Let the next Event about this object be written, even if it was told before."""
        for told in [t for t in self._told if t[:2] == (namespace, name)]:
            del self._told[told]

    async def run(self) -> None:
        """Write what is recorded, for ever; a refusal is logged and costs that Event only."""
        while True:
            event = await self._waiting.get()
            try:
                await self._client.create(EVENTS, event)
            except HeliographError as error:
                _log.warning("event not written", error=str(error), reason=event.reason)

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
