"""`heliograph trace`: asks watchers how a Service's changes travelled, and draws it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Final, NoReturn

import msgspec
from rich.console import Console
from rich.text import Text

from heliograph.bus import Connection, ConnectionSettings, PermissionDenied
from heliograph.cli.reaching import needing_a_bus
from heliograph.cli.services import ServiceName
from heliograph.cli.waterfall import end_s, hops, rows
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.traces import Change, TraceAsked, TraceTold
from heliograph.errors import HeliographError, InputError
from heliograph.imports.consume import clusters_on
from heliograph.nearest import near_ones
from heliograph.run.buses import bus
from heliograph.run.traces import Asked, ask_all, exported

_WIDTH: Final = 40
_MS: Final = 1e3
_LEGEND: Final = (
    "CLOCK says who measured how long a hop TOOK; no two clocks are compared. 'A less B' is A's "
    "time from\nsending to hearing back, less what B says that it took: half of it each way, by "
    "which BEGUN of B's hops\nis estimated. Milliseconds since the watch line."
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        service: The Service.
        cluster: The exporting cluster; None for every cluster of the bus.
        within_s: How long to wait for a watcher that does not answer, seconds.
    """

    service: ServiceName
    cluster: str | None = None
    within_s: float = 5.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints.

    Attributes:
        namespace: Of the Service.
        name: Of the Service.
        clusters: What the watchers of the clusters that export it, or lately did, answered.
        silent: Clusters whose watchers did not answer.
        denied: Clusters whose watchers the bus does not let us ask.
    """

    namespace: str
    name: str
    clusters: tuple[TraceTold, ...]
    silent: tuple[str, ...]
    denied: tuple[str, ...]


class NotAnswered(HeliographError):
    """Watchers that should have did not answer."""


async def trace(settings: ConnectionSettings, wanted: Wanted, *, as_json: bool) -> int:
    """Print how a Service's latest changes travelled; return the exit code.

    Raises:
        NotAnswered: A watcher did not answer; what others did is printed before.
        InputError: No cluster exports such a Service, or there is no such cluster.
    """
    cluster = parse_cluster_id(wanted.cluster) if wanted.cluster else None
    service = wanted.service
    async with AsyncExitStack() as stack:
        with needing_a_bus():
            connection = await stack.enter_async_context(bus(settings))
        asking = TraceAsked(namespace=service.namespace, name=service.name)
        clusters = (cluster,) if cluster else await _clusters(connection)
        asked = await ask_all(connection, clusters, asking, within_s=wanted.within_s)
        known = tuple(told for told in asked.told if told.exported or told.changes)
        if not known:
            await _explain(connection, wanted, asked)
    report = Report(
        namespace=service.namespace,
        name=service.name,
        clusters=known,
        silent=asked.silent,
        denied=asked.denied,
    )
    show(report, as_json=as_json)
    if asked.silent:
        raise NotAnswered(_unanswered(asked.silent))
    return 0


async def _clusters(connection: Connection) -> tuple[ClusterId, ...]:
    try:
        found = await clusters_on(connection)
    except PermissionDenied as error:
        raise NotAnswered(
            f"{error} With a cluster's own credentials, name that cluster: --as-cluster CLUSTER"
        ) from error
    if not found:
        raise NotAnswered("no cluster has a stream on this bus: is it the right one (--nats)?")
    return found


async def _explain(connection: Connection, wanted: Wanted, asked: Asked) -> NoReturn:
    """Say why nothing is known of a Service."""
    if asked.silent:
        if wanted.cluster:
            await _require_stream(connection, wanted.cluster)
        raise NotAnswered(_unanswered(asked.silent))
    if not asked.told:
        raise NotAnswered(_denied(asked.denied))
    clusters = [ClusterId(told.cluster) for told in asked.told]
    service = f"{wanted.service.namespace}/{wanted.service.name}"
    offer = near_ones(service, await exported(connection, clusters))
    raise InputError(f"{service} is not exported by {_list(clusters)}, nor was it lately{offer}")


async def _require_stream(connection: Connection, cluster: str) -> None:
    """See whether a cluster that does not answer is one at all, as far as the bus says.

    Raises:
        InputError: It has no stream, and others have.
    """
    with suppress(PermissionDenied):
        known = await clusters_on(connection)
        if known and cluster not in known:
            offer = near_ones(cluster, known) or f"; it has {', '.join(known)}"
            raise InputError(f"this bus has no cluster {cluster}{offer}")


def _unanswered(clusters: Iterable[str]) -> str:
    return (
        f"the watcher of {_list(clusters)} does not answer: does it run, of this version, and is "
        f"this its bus? Services go on without it"
    )


def _denied(clusters: Iterable[str]) -> str:
    return (
        f"the bus does not let us ask the watcher of {_list(clusters)}: use that cluster's own "
        f"credentials, and see that users.conf lets it publish and subscribe to "
        f"heliograph.traces.v1.<cluster>"
    )


def _list(clusters: Iterable[str]) -> str:
    names = list(clusters)
    return f"cluster{'' if len(names) == 1 else 's'} {', '.join(names)}"


def show(report: Report, *, as_json: bool) -> None:
    """Print what was answered."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    mark = "█" if "utf" in (console.encoding or "").lower() else "#"
    for line in lines(report, mark):
        console.print(line)
    if report.denied:
        sys.stderr.write(f"heliograph: {_denied(report.denied)}\n")


def lines(report: Report, mark: str) -> Iterator[Text]:
    """Yield what people read."""
    service = f"{report.namespace}/{report.name}"
    for told in report.clusters:
        now = "is exported by" if told.exported else "is no longer exported by"
        count = len(told.changes)
        seen = f"{count} change{'' if count == 1 else 's'} known" if count else "no change known"
        yield Text(
            f"{service} {now} {told.cluster}: {seen}, since its watcher began at {told.since}",
            style="bold",
        )
        for change in told.changes:
            yield Text()
            yield from _drawn(told.cluster, change, mark)
    if any(change.answers for told in report.clusters for change in told.changes):
        yield Text()
        yield Text(_LEGEND, style="dim")


def _drawn(cluster: str, change: Change, mark: str) -> Iterator[Text]:
    found, whole_s = hops(cluster, change), end_s(change)
    trace = f"  trace {change.trace_id}" if change.trace_id else ""
    what = f"{change.type.removesuffix('.v1')} {change.name}"
    yield Text(f"{change.seen_at}  {what}  {whole_s * _MS:.1f} ms{trace}", style="cyan")
    header, *drawn = rows(found, whole_s, width=_WIDTH, mark=mark)
    yield Text(header, style="dim")
    yield from map(Text, drawn)
    for answer in change.answers:
        if answer.outcome != "applied":
            words = ": ".join(filter(None, (answer.reason, answer.message)))
            yield Text(f"  {answer.outcome} by {answer.importing}: {words}", style="red")
    if not change.answers:
        yield Text(f"  {_alone(change)}", style="yellow")


def _alone(change: Change) -> str:
    """Return why nobody has answered, as far as that can be told."""
    if change.stored_s is None:
        return "not stored: a newer one took its place, or the bus is away"
    return "no importing cluster has answered: none imports it, or a newer change took its place"
