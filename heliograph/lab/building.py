"""Builds one of the laboratory's programs, and says so, as `python -m` does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from heliograph.errors import HeliographError
from heliograph.progress import Progress
from heliograph.progress.shown import shown


def build(ensure_built: Callable[[Progress], Awaitable[Path]]) -> int:
    """Build, with progress on stderr and the path on stdout; return the exit code."""

    async def built() -> Path:
        with shown(Console(stderr=True)) as begin:
            return await ensure_built(begin())

    try:
        binary = asyncio.run(built())
    except HeliographError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{binary}\n")
    return 0
