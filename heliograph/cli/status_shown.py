"""`heliograph status`: looks, and prints for people or for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, NamedTuple

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from heliograph.bus import Connection
from heliograph.check.finding import Finding
from heliograph.cli.columns import in_columns
from heliograph.cli.findings import line_of
from heliograph.cli.reaching import needing_a_bus
from heliograph.clock import now_ns, rfc3339
from heliograph.errors import HeliographError
from heliograph.overview.facts import MeshFacts
from heliograph.overview.judge import judge
from heliograph.overview.rows import ClusterRow, rows
from heliograph.run.buses import buses
from heliograph.run.overview import look
from heliograph.run.settings import BusSettings

_EVERY_S: Final = 2.0
_UNKNOWN: Final = "-"


class Reach(NamedTuple):
    """How to reach the buses of a ClusterSet."""

    bus: BusSettings
    owner: str | None
    import_from: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints.

    Attributes:
        ok: Whether there is no problem.
        time: When it was looked; RFC 3339.
        findings: What is wrong, the worst first.
        clusters: Each at a glance.
    """

    ok: bool
    time: str
    findings: tuple[Finding, ...]
    clusters: tuple[ClusterRow, ...]


async def once(reach: Reach, *, as_json: bool) -> int:
    """Print how the ClusterSet is; return 0 if there is no problem.

    Raises:
        InputError: The bus cannot be reached.
    """
    async with AsyncExitStack() as stack:
        report = await _report(await _connect(stack, reach))
    if as_json:
        _print_json(report)
    else:
        Console(highlight=False, soft_wrap=True).print(shown(report))
    return 0 if report.ok else 1


async def watch(reach: Reach, *, as_json: bool) -> int:
    """Print it again and again, until Ctrl-C: on a terminal in its place."""
    console = Console(highlight=False)
    async with AsyncExitStack() as stack:
        connections = await _connect(stack, reach)
        show = partial(console.print, soft_wrap=True)
        if console.is_terminal and not as_json:
            live = stack.enter_context(Live(console=console, auto_refresh=False, screen=True))
            show = partial(live.update, refresh=True)
        since = ""
        while True:
            try:
                report = await _report(connections)
            except HeliographError as error:
                since = since or rfc3339(now_ns())
                said = _away(connections, error, since)
                sys.stderr.write(f"{said}\n") if as_json else show(Text(said))
            else:
                since = ""
                _print_json(report) if as_json else show(shown(report))
            await asyncio.sleep(_EVERY_S)


def _away(connections: Iterable[Connection], error: HeliographError, since: str) -> str:
    """Return which bus is not reached, or what else is wrong, and since when."""
    away = " and ".join(one.shown_url for one in connections if not one.connected)
    what = f"bus {away} is not reached" if away else str(error).rstrip(".")
    return f"{what}, since {since}; mirrors stay as they are"


def _print_json(report: Report) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()


async def _connect(stack: AsyncExitStack, reach: Reach) -> list[Connection]:
    with needing_a_bus():
        found = await buses(stack, partial(reach.bus.bus, "status", reach.owner), reach.import_from)
    return list(dict.fromkeys((found.home, *(one.connection for one in found.imports))))


async def _report(connections: Iterable[Connection]) -> Report:
    looked = await asyncio.gather(*map(look, connections))
    clusters = {name: one for facts in looked for name, one in facts.clusters.items()}
    facts = MeshFacts(
        clusters=clusters, programs=tuple(one for facts in looked for one in facts.programs)
    )
    findings = judge(facts)
    return Report(
        ok=all(one.severity != "problem" for one in findings),
        time=rfc3339(now_ns()),
        findings=findings,
        clusters=rows(facts),
    )


def shown(report: Report) -> Group:
    """Return what people see: what is wrong, then a line for each cluster."""
    parts: list[RenderableType] = [line_of(one) for one in report.findings]
    if report.findings:
        parts.append(Text())
    if not report.clusters:
        return Group(*parts, Text("No clusters found on this bus; has a watcher run?"))
    table = in_columns([_HEADER, *map(_cells, report.clusters)])
    parts.append(Text(table, no_wrap=True, overflow="ignore"))
    return Group(*parts, *([] if report.findings else [Text("All is well.", "green")]))


_HEADER: Final = (
    *("CLUSTER", "LEASE", "PROGRAMS", "VERSION", "PEERING", "NODES"),
    *("EXPORTS", "MIRRORS", "LAG", "REFUSALS", "HELD"),
)


def _cells(row: ClusterRow) -> tuple[str, ...]:
    return (
        row.cluster,
        _lease(row),
        _programs(row),
        row.version or _UNKNOWN,
        row.peering,
        _of(row.nodes_ready, row.nodes),
        _of(row.exports_ready, row.exports),
        _UNKNOWN if row.mirrors is None else str(row.mirrors),
        _UNKNOWN if row.lag is None else str(row.lag),
        str(row.refusals),
        str(row.held),
    )


def _lease(row: ClusterRow) -> str:
    if row.lease_age_s is None:
        return "out"
    state = "out" if row.lease_age_s > row.lease_s else "held"
    return f"{state} ({row.lease_age_s:.0f}s)"


def _programs(row: ClusterRow) -> str:
    return _of(sum(one.ready for one in row.programs), len(row.programs))


def _of(ready: int, all_of_them: int) -> str:
    return f"{ready}/{all_of_them}"
