"""Judges which exporting clusters are silent, the moment that may change, and tells of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from heliograph.bus import Connection, ConnectionEvent, Lost, Restored
from heliograph.contract.names import ClusterId
from heliograph.imports.heard import Heard
from heliograph.imports.links import LinkFollower
from heliograph.kube.client import KubeClient
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.reflector.liveness import Liveness
from services.reflector.mirror import Refusal
from services.reflector.settings import ReflectorSettings
from services.reflector.silent_clusters import SilentClusters

WORD_S: Final = 3.0
"""How long the own agents' word is waited for at the start, before anything is written."""

_STOPPED_S: Final = 1.0
"""A timer that is so late was not served: this process, or its machine, stood still."""


class Silence:
    """Which clusters are silent for one importing cluster."""

    def __init__(
        self,
        settings: ReflectorSettings,
        home: Connection,
        client: KubeClient,
        *,
        changed: Callable[[set[ClusterId]], None],
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare.

        Args:
            settings: Of the reflector.
            home: The bus on which the cluster's own agents speak, and the reflector too.
            client: The importing cluster.
            changed: Hears of clusters that are silent from now on, or not any more.
            telemetry: Makes spans.
            metrics: Counts.
        """
        self._home, self._changed = home, changed
        self._told = SilentClusters(settings, home, client, telemetry=telemetry, metrics=metrics)
        self._links = LinkFollower(home, ClusterId(settings.cluster), changed=self._on_links)
        self._liveness = Liveness(
            self._links.table.path, unknown_is_silent=settings.unheard_clusters == "not-ready"
        )
        self._woken, self._due_s = asyncio.Event(), math.inf

    @property
    def silent(self) -> frozenset[ClusterId]:
        """The clusters that are silent."""
        return self._liveness.silent

    def of(self, exporting: Iterable[ClusterId]) -> tuple[Refusal, ...]:
        """Return what stands against some clusters."""
        return self._told.of(exporting)

    async def known(self) -> None:
        """Wait until the own agents' word is known, if they have any; not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WORD_S):
                await self._links.known.wait()

    def expect(self, exporting: ClusterId) -> None:
        """Take that a cluster can be heard from now on."""
        self._liveness.expect(exporting, _now_s())
        self._woken.set()

    def renewed(self, exporting: ClusterId, lease_s: float, heard: Heard) -> None:
        """Take that a cluster renewed its lease."""
        self._liveness.renewed(exporting, lease_s, heard)
        if self._liveness.ends_s(exporting) < self._due_s:
            self._woken.set()
        self._look((exporting,))

    def forget(self, exporting: ClusterId) -> None:
        """Take that a cluster has left, or that people want nothing from it."""
        self._liveness.forget(exporting)
        self._look((exporting,))

    async def run(self, caught_up: Callable[[], Awaitable[None]]) -> None:
        """Judge and tell, for ever; `caught_up` returns once every cluster was heard."""
        stop_observing = self._home.observe(self._on_home)
        if not self._home.connected:
            self._liveness.deafen()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._links.run())
                tasks.create_task(self._told.run(caught_up))
                while True:
                    await self._until_due()
                    self._tell(self._liveness.look_at_all(_now_s()))
        finally:
            stop_observing()

    async def _until_due(self) -> None:
        """Wait until something may be otherwise than it was."""
        due_s = self._next_s(_now_s())
        self._due_s = math.inf if due_s is None else due_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due_s):
                await self._woken.wait()
        self._woken.clear()
        if _now_s() - self._due_s > _STOPPED_S:  # what was said meanwhile is not read yet
            self._liveness.listen(_now_s())

    def _next_s(self, now_s: float) -> float | None:
        """Return when a lease ends, or a statement for which alone a cluster is not silent."""
        liveness, table = self._liveness, self._links.table
        expiry_s = table.next_expiry_s(now_s) if liveness.waits(now_s) else None
        times = (liveness.due_s(now_s), expiry_s)
        return min((time_s for time_s in times if time_s is not None), default=None)

    def _on_home(self, event: ConnectionEvent) -> None:
        """Hear that the own bus is away or back: without it the own agents cannot be heard."""
        if isinstance(event, Lost):
            self._liveness.deafen()
        if isinstance(event, Restored):
            self._liveness.listen(_now_s())
        self._woken.set()

    def _on_links(self, exporting: set[str]) -> None:
        self._look(map(ClusterId, exporting))
        self._woken.set()

    def _look(self, exporting: Iterable[ClusterId]) -> None:
        now_s = _now_s()
        self._tell({c for c in exporting if self._liveness.look(c, now_s)})

    def _tell(self, changed: set[ClusterId]) -> None:
        for exporting in sorted(changed):
            self._told.put(exporting, silent=exporting in self.silent)
        if changed:
            self._changed(changed)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
