"""`heliograph bench`: figures beside the floor of the same run."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import msgspec
from rich.console import Console


async def bench(
    measure: Callable[[Callable[[str], None]], Awaitable[msgspec.Struct]], *, as_json: bool
) -> None:
    """Run one benchmark and print its figures, as one JSON object or indented for people."""
    console = Console(stderr=True, highlight=False)
    figures = msgspec.json.encode(await measure(console.print))
    text = figures if as_json else msgspec.json.format(figures, indent=2)
    sys.stdout.write(text.decode() + "\n")
