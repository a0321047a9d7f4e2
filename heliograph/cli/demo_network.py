"""`heliograph demo --real --network`: a request crosses, with real packets, for people to see."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from heliograph.cli.demo import Report, logs_of_a_failure
from heliograph.demo.network.crossing import Crossing
from heliograph.demo.network.joined import clusters
from heliograph.demo.network.scene import Played, Scene, play
from heliograph.demo.play import Outcome
from heliograph.errors import InputError
from heliograph.lab.controlplane import ensure_built
from heliograph.lab.network.machine import require_tools, require_tun
from heliograph.lab.network.program import Program
from heliograph.progress.shown import shown


async def demo(*, real: bool, as_json: bool) -> int:
    """Play all scenes; return 0 only if every one was seen. After one that was not, it ends.

    Raises:
        InputError: There are real clusters in a network only, or this machine cannot have one.
        ControlPlaneUnavailable: The control planes' binary cannot be built here.
    """
    if not real:
        raise InputError(
            "--network needs --real: only real control planes have nodes that send packets; run "
            "'heliograph demo --real --network'"
        )
    require_tools()
    require_tun()
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    outcomes: list[Outcome] = []
    ok = False
    with shown(Console(stderr=True)) as begin:
        binary = await ensure_built(begin())
    with (
        logs_of_a_failure(lambda: ok),
        tempfile.TemporaryDirectory(prefix="heliograph-demo-") as folder,
    ):
        async with clusters(Path(folder), binary, lambda step: console.print(str(step))) as staged:
            scenes = (*staged.scenes(), *Crossing(staged).scenes())
            ok = await _play_all(scenes, outcomes, console)
            if not ok:
                _print_logs(staged.mesh.programs)
    report = Report(ok=ok, steps=tuple(outcomes))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        console.print("every step was seen" if ok else "[red]not every step was seen[/red]")
    return 0 if ok else 1


async def _play_all(scenes: Iterable[Scene], outcomes: list[Outcome], console: Console) -> bool:
    for number, scene in enumerate(scenes, start=1):
        console.print(f"[bold]{number}. {scene.done}[/bold]")
        played = await play(scene)
        outcomes.append(played.outcome)
        _tell(console, scene, played)
        if not played.outcome.ok:
            return False
    return True


def _tell(console: Console, scene: Scene, played: Played) -> None:
    if played.outcome.seconds is None:
        console.print(f"   [red]not seen[/red]: {scene.expected}")
        console.print(f"   {escape(played.why)}")
    else:
        console.print(f"   seen after {played.outcome.seconds:.2f} s: {scene.expected}")
    for told in played.shown.told:
        console.print(f"   $ {escape(told.command)}")
        for line in told.text.splitlines():
            console.print(f"     {escape(line)}")
    for note in played.shown.notes:
        console.print(f"   {escape(note)}")
    console.print()


def _print_logs(programs: Iterable[Program]) -> None:
    """Print the end of what each program wrote: the files are about to go."""
    for program in programs:
        sys.stderr.write(f"--- {program.settings.name}\n{program.log_tail}")
