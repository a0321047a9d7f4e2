"""Builds one of the laboratory's programs, and says so, as `python -m` does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from heliograph.errors import HeliographError

Progress = Callable[[str], None]


def build(ensure_built: Callable[[Progress], Awaitable[Path]]) -> int:
    """Build, with progress on stderr and the path on stdout; return the exit code."""

    async def built() -> Path:
        return await ensure_built(_say)

    try:
        binary = asyncio.run(built())
    except HeliographError as error:
        _say(str(error))
        return 1
    sys.stdout.write(f"{binary}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
