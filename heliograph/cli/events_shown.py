"""`heliograph events`: subscribes, and prints for people or for programs."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from typing import Final

import msgspec

from heliograph.bus import ConnectionSettings, PermissionDenied
from heliograph.cli.reaching import needing_a_bus
from heliograph.clock import now_ns, rfc3339
from heliograph.contract.names import parse_cluster_id
from heliograph.errors import InputError
from heliograph.imports.consume import clusters_on
from heliograph.mesh.describe import describe
from heliograph.mesh.event import MeshEvent
from heliograph.mesh.subscribe import parse_kinds, subscribe
from heliograph.nearest import did_you_mean
from heliograph.run.buses import bus

_HEADER: Final = ("TIME", "CHANGE", "CLUSTER", "KIND", "NAME")
_LEAST: Final = (27, 9, 8, 9, 24)
"""Columns grow with what comes, and never shrink: events are printed as they come."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown; clusters, kinds and namespaces each empty for all."""

    clusters: tuple[str, ...]
    kinds: tuple[str, ...]
    namespaces: tuple[str, ...]
    follow: bool


async def show(settings: ConnectionSettings, asked: Asked, *, as_json: bool) -> int:
    """Print events until there are no more, or nobody reads them; return the exit code.

    Raises:
        InputError: The bus cannot be reached, or a cluster or a kind is not known.
    """
    parse_kinds(asked.kinds)
    await _see_to_clusters(settings, asked.clusters)
    lines = Lines(settings.shown_urls[0], as_json=as_json)
    try:
        with needing_a_bus():
            await _print_all(settings, asked, lines)
    except BrokenPipeError:  # such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not lines.printed and not as_json:
        sys.stderr.write("No events found.\n")
    return 0


async def _print_all(settings: ConnectionSettings, asked: Asked, lines: Lines) -> None:
    events = subscribe(
        settings,
        clusters=asked.clusters,
        kinds=asked.kinds,
        namespaces=asked.namespaces,
        follow=asked.follow,
    )
    async with aclosing(events):
        async for event in events:
            lines.print(event)


async def _see_to_clusters(settings: ConnectionSettings, clusters: tuple[str, ...]) -> None:
    """Make sure that these clusters are on the bus, as far as it says.

    Raises:
        InputError: One is not.
    """
    if not clusters:
        return
    known = [parse_cluster_id(cluster) for cluster in clusters]
    async with bus(settings) as connection:
        try:
            found = await clusters_on(connection)
        except PermissionDenied:
            return
    for cluster in known:
        if cluster not in found:
            raise InputError(
                f"cluster {cluster!r} has nothing on the bus {settings.shown_urls[0]}"
                f"{did_you_mean(cluster, found)}"
            )


class Lines:
    """Prints events, each as soon as it came.

    Attributes:
        printed: How many events were printed.
    """

    def __init__(self, url: str, *, as_json: bool) -> None:
        """Prepare; `url` is where they come from, for people."""
        self.printed = 0
        self._url, self._as_json = url, as_json
        self._widths = list(_LEAST)

    def print(self, event: MeshEvent) -> None:
        """Print one event; what concerns the stream as a whole people read on standard error."""
        if self._as_json:
            sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        elif event.kind is None:
            self._tell(event)
            return
        else:
            if not self.printed:
                sys.stdout.write(self._row(_HEADER, "WHAT"))
            self.printed += 1
            cells = (event.time or "-", event.change, event.cluster, event.kind.value, event.place)
            sys.stdout.write(self._row(cells, describe(event)))
        sys.stdout.flush()

    def _tell(self, event: MeshEvent) -> None:
        if event.change == "interrupted":
            sys.stderr.write(
                f"heliograph: events of cluster {event.cluster} are interrupted since "
                f"{rfc3339(now_ns())} ({event.reason}; bus {self._url}); mirrors stay as they are, "
                f"and what changes meanwhile is shown when they are back\n"
            )

    def _row(self, cells: tuple[str, ...], last: str) -> str:
        self._widths = [max(width, len(c)) for width, c in zip(self._widths, cells, strict=True)]
        columns = map(str.ljust, cells, self._widths)
        return "   ".join((*columns, last)).rstrip() + "\n"
