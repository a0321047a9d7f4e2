"""`heliograph bench`: figures beside the floor of the same run."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import msgspec
from rich.console import Console

from heliograph.progress import Progress
from heliograph.progress.shown import shown


async def bench(measure: Callable[[Progress], Awaitable[msgspec.Struct]], *, as_json: bool) -> None:
    """Run one benchmark and print its figures, as one JSON object or indented for people."""
    with shown(Console(stderr=True), quiet=True) as begin:
        figures = msgspec.json.encode(await measure(begin()))
    text = figures if as_json else msgspec.json.format(figures, indent=2)
    sys.stdout.write(text.decode() + "\n")
