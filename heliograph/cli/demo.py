"""`heliograph demo`: the main job, in seconds, for a person or for a program."""

from __future__ import annotations

import sys

import msgspec
from rich.console import Console

from heliograph.demo.observe import Observer
from heliograph.demo.play import Outcome, play, stage
from heliograph.demo.scenario import NAMESPACE, Step
from heliograph.demo.show import services_table, slices_table
from heliograph.lab.clusters import memory_clusters, real_clusters

_CLUSTERS = 2


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
    running = real_clusters(_CLUSTERS, console.print) if real else memory_clusters(_CLUSTERS)
    outcomes = []
    async with running as clusters, stage(clusters) as staged:
        where = "real control planes" if real else "in-memory API servers"
        console.print(f"two clusters, east and west ({where}), joined over a nats-server\n")
        for number, step in enumerate(staged.scenario.steps(), start=1):
            console.print(f"[bold]{number}. {step.done}[/bold]")
            outcome = await play(step, staged.observer)
            outcomes.append(outcome)
            _tell(console, step, outcome, staged.observer)
    report = Report(ok=all(outcome.ok for outcome in outcomes), steps=tuple(outcomes))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        console.print("every step was seen" if report.ok else "[red]not every step was seen[/red]")
    return 0 if report.ok else 1


def _tell(console: Console, step: Step, outcome: Outcome, observer: Observer) -> None:
    if outcome.seconds is None:
        console.print(f"   [red]not seen[/red]: {step.expected}")
    else:
        console.print(f"   seen after {outcome.seconds * 1000:.1f} ms: {step.expected}")
    service = observer.service(NAMESPACE, step.show)
    tables = (
        services_table([service] if service else []),
        slices_table(observer.slices(NAMESPACE, step.show)),
    )
    console.print(f"   $ kubectl --context west get service,endpointslice   # {step.show}")
    for line in "\n".join(filter(None, tables)).splitlines() or ["No resources found."]:
        console.print(f"     {line}")
    for refusal in observer.refusals:
        if refusal.name == step.show:
            console.print(f"   refused ({refusal.reason}): {refusal.message}")
    console.print()
