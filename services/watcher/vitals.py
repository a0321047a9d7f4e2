"""What the watcher tells of itself to probes and to whoever measures it."""

from __future__ import annotations

import time
from collections.abc import Callable

from heliograph.bus import Connection
from heliograph.health import Condition, bus_condition, watch_conditions, when
from heliograph.kube.objects import ConfigMap
from heliograph.kube.watch import ListWatch
from heliograph.metrics import Metrics
from services.watcher.settings import WatcherSettings
from services.watcher.watch import ClusterTables


class Vitals:
    """Whether a watcher does its work, condition by condition."""

    def __init__(
        self,
        settings: WatcherSettings,
        connection: Connection,
        tables: ClusterTables,
        decisions: ListWatch[ConfigMap],
        synced: Callable[[], bool],
    ) -> None:
        """Prepare; `synced` tells whether cluster and stream were compared."""
        self._settings, self._connection, self._tables = settings, connection, tables
        self._watches, self._synced = (*tables.watches, decisions), synced
        self._lease_at_s: float | None = None

    def renewed(self) -> None:
        """Take that the lease was renewed."""
        self._lease_at_s = time.monotonic()

    def conditions(self) -> tuple[Condition, ...]:
        """Return what it takes that the stream follows the cluster right now."""
        lease_fails = self._lease_fails()
        return (
            bus_condition(self._connection),
            *watch_conditions(self._watches),
            when("snapshot", self._synced(), "cluster and stream were not compared yet"),
            when("lease", not lease_fails, lease_fails),
        )

    def measure(self, metrics: Metrics, pending: Callable[[], int]) -> None:
        """Tell of it from now on; `pending` returns how many publications are on their way."""
        metrics.measure_conditions(self.conditions)
        metrics.measure_buses(self._connection)
        metrics.measure_watches(self._watches)
        metrics.measure_lease(self._settings.cluster, self._lease)
        metrics.tables.read(self._sizes)
        metrics.pending.read(lambda: [((), pending())])

    def _lease(self) -> tuple[float, float] | None:
        return None if self._lease_at_s is None else (self._lease_at_s, self._settings.lease_s)

    def _lease_fails(self) -> str:
        """Return why other clusters may not count on this one; empty if they may."""
        if self._lease_at_s is None:
            return "it was not published yet"
        age_s = time.monotonic() - self._lease_at_s
        return f"it was not renewed for {age_s:.0f} s" if age_s > self._settings.lease_s else ""

    def _sizes(self) -> tuple[tuple[tuple[str, str], int], ...]:
        services, nodes = self._tables.sizes
        cluster = self._settings.cluster
        return (("services", cluster), services), (("nodes", cluster), nodes)
