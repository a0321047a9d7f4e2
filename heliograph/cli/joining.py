"""`heliograph up`: join clusters, and tell a person what is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from rich.console import Console

from heliograph.cli.clusters import parse_buses, parse_clusters
from heliograph.cli.framed import framed
from heliograph.contract.names import ClusterId
from heliograph.errors import InputError
from heliograph.run.first_sync import telling
from heliograph.run.joined import Joined, Programs, embedded_bus, run_joined
from services.peerer.refusal import Refusal

_AT_LEAST = 2


async def join(clusters: Sequence[str], nats: Sequence[str], *, create_namespaces: bool) -> None:
    """Run everything for the clusters until cancelled."""
    known = parse_clusters(clusters)
    if len(known) < _AT_LEAST:
        message = "give at least two clusters: --cluster east=KUBECONFIG --cluster west=KUBECONFIG"
        raise InputError(message)
    async with AsyncExitStack() as stack:
        urls = list(nats) or [await stack.enter_async_context(embedded_bus())]
        joined = Joined(
            clusters=known,
            buses=parse_buses(urls, tuple(known)),
            create_namespaces=create_namespaces,
        )
        begin = stack.enter_context(telling())
        await run_joined(joined, lambda programs: _greet(joined, programs), begin)


def _greet(joined: Joined, programs: Mapping[ClusterId, Programs]) -> None:
    """Say where everything is; on standard error, as logs have standard output."""
    for one in programs.values():
        one.peerer.show_refusals(_show)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    names = ", ".join(programs)
    for url in sorted(set(joined.buses.values())):
        console.print(
            f"bus at [bold]{url}[/bold]: nats sub -s {url} 'heliograph.v1.>'", style="dim"
        )
    console.print(f"clusters [bold]{names}[/bold] are joined; Ctrl-C ends it, and mirrors stay")


def _show(refusal: Refusal) -> None:
    """Show that a whole cluster is refused so that nobody overlooks it; the rest is in the log."""
    if refusal.kind == "cluster":
        framed(f"cluster {refusal.exporting} is refused: {refusal.reason}", refusal.message)
