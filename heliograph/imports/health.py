"""Whether an importing program hears all that it is to hear. Pure but for what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from heliograph.contract.names import ClusterId
from heliograph.health import Condition
from heliograph.imports.consume import ImportBus

_UNHEARD = (
    "not all that it says was heard yet, and confirmed; if that lasts, see whether its watcher runs"
)


def import_conditions(
    buses: Sequence[ImportBus],
    heard: Callable[[ClusterId], bool],
    clusters: Iterable[ClusterId],
) -> tuple[Condition, ...]:
    """Return for each exporting cluster whether its bus is reached, and all of it was heard.

    Args:
        buses: Where they are read.
        heard: Tells of a cluster whether all was heard.
        clusters: Those that are to be heard of, as far as they are known.
    """
    return tuple(
        Condition(name=f"import {cluster}", fails=_why(cluster, buses, heard))
        for cluster in sorted(clusters)
    )


def configured(buses: Iterable[ImportBus]) -> Iterator[ClusterId]:
    """Yield the clusters that are to be heard of by the settings."""
    return (cluster for bus in buses for cluster in bus.clusters)


def _why(cluster: ClusterId, buses: Iterable[ImportBus], heard: Callable[[ClusterId], bool]) -> str:
    for bus in buses:
        away = not bus.connection.connected
        if away and (cluster in bus.clusters or not bus.clusters):
            return f"there is no connection to its bus, {bus.connection.shown_url}; it is dialled"
    return "" if heard(cluster) else _UNHEARD
