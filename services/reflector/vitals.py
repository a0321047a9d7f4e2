"""What the reflector tells of itself to probes and to whoever measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heliograph.bus import Connection
from heliograph.health import Condition, bus_condition, watch_conditions, when
from heliograph.imports.consume import ImportBus
from heliograph.imports.health import configured, import_conditions
from heliograph.measured import Followed
from heliograph.metrics import Metrics
from services.reflector.picture import Picture


class Vitals:
    """Whether a reflector does its work, condition by condition."""

    def __init__(
        self,
        picture: Picture,
        home: Connection,
        buses: Sequence[ImportBus],
        watches: Sequence[Followed],
        decided: Callable[[], bool],
    ) -> None:
        """Prepare; `decided` tells whether is known who takes part."""
        self._picture, self._home, self._buses = picture, home, buses
        self._watches, self._decided = watches, decided

    def conditions(self) -> tuple[Condition, ...]:
        """Return what it takes that the own cluster and every other one is followed right now."""
        known = {*configured(self._buses), *self._picture.exports} - {self._picture.importing}
        return (
            bus_condition(self._home),
            *watch_conditions(self._watches),
            when(
                "decisions",
                self._decided(),
                "ConfigMap clusterset or the own ranges were not read yet",
            ),
            *import_conditions(
                self._buses, self._picture.heard, filter(self._picture.imports_from, known)
            ),
        )

    def measure(self, metrics: Metrics, queued: Callable[[], int]) -> None:
        """Tell of it from now on; `queued` returns how many mirrors wait to be looked at."""
        metrics.measure_conditions(self.conditions)
        metrics.measure_buses(self._home, *(bus.connection for bus in self._buses))
        metrics.measure_watches(self._watches)
        metrics.queue.read(lambda: [((), queued())])
        metrics.tables.read(lambda: [(("mirrors", ""), len(self._picture.own.mirrors()))])
