"""`heliograph demo`: the main job and peering, in seconds, for a person or for a program."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import msgspec
from rich.console import Console

from heliograph import logs
from heliograph.cli.framed import framed
from heliograph.demo.play import CLUSTERS, Outcome, play, stage
from heliograph.demo.step import Step
from heliograph.lab.access import ClusterAccess
from heliograph.lab.clusters import memory_clusters, real_clusters
from heliograph.progress.shown import shown


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints.

    Attributes:
        ok: Whether every step was seen.
        steps: What became of each step.
    """

    ok: bool
    steps: tuple[Outcome, ...]


async def demo(*, real: bool, as_json: bool) -> int:
    """Play all steps; return 0 only if every one was seen."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    outcomes: list[Outcome] = []
    with logs_of_a_failure(lambda: _all_seen(outcomes)):
        async with _clusters(console, real=real) as clusters, stage(clusters) as staged:
            where = "real control planes" if real else "in-memory API servers"
            console.print(f"clusters east and west ({where}), joined over a nats-server\n")
            for number, step in enumerate(staged.steps, start=1):
                console.print(f"[bold]{number}. {step.done}[/bold]")
                outcome = await play(step, staged.observer)
                outcomes.append(outcome)
                _tell(console, step, outcome)
    report = Report(ok=_all_seen(outcomes), steps=tuple(outcomes))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        console.print("every step was seen" if report.ok else "[red]not every step was seen[/red]")
    return 0 if report.ok else 1


@asynccontextmanager
async def _clusters(console: Console, *, real: bool) -> AsyncIterator[tuple[ClusterAccess, ...]]:
    """Run the clusters; show how they come to be."""
    async with AsyncExitStack() as stack:
        with shown(console) as begin:
            running = real_clusters(CLUSTERS, begin()) if real else memory_clusters(CLUSTERS)
            clusters = await stack.enter_async_context(running)
        yield clusters


def _all_seen(outcomes: list[Outcome]) -> bool:
    return bool(outcomes) and all(outcome.ok for outcome in outcomes)


@contextmanager
def logs_of_a_failure(all_seen: Callable[[], bool]) -> Iterator[None]:
    """Keep the programs' logs back, and print them only if something was not seen."""
    kept, failed = io.StringIO(), True
    logs.configure("info", human=True, to=kept)
    try:
        yield
        failed = not all_seen()
    except asyncio.CancelledError:  # somebody has seen enough
        failed = False
        raise
    finally:
        if failed:
            sys.stderr.write(kept.getvalue())


def _tell(console: Console, step: Step, outcome: Outcome) -> None:
    if outcome.seconds is None:
        console.print(f"   [red]not seen[/red]: {step.expected}")
    else:
        console.print(f"   seen after {outcome.seconds * 1000:.1f} ms: {step.expected}")
    view = step.view()
    console.print(f"   $ kubectl --context west {view.command}")
    for line in "\n".join(filter(None, view.tables)).splitlines() or ["No resources found."]:
        console.print(f"     {line}")
    for note in view.notes:
        console.print(f"   {note}")
    for refusal in view.refused:
        title = f"cluster {refusal.exporting} is refused: {refusal.reason}"
        framed(title, refusal.message, console=console)
    console.print()
