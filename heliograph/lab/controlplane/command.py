"""Runs a command to its end, line by line. Whatever happens, no process stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

LAST_LINES: Final = 12  # enough for a compiler's or a panic's reason, few enough to be read

_END_S: Final = 5.0  # a killed group needs milliseconds; a child that left the group, for ever
_LINE_LIMIT_BYTES: Final = 1 << 20
_KILLED: Final = -signal.SIGKILL


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        exit_code: Its own, or the negative number of the signal that ended it.
        lines: What it wrote, to stdout and stderr alike.
    """

    exit_code: int
    lines: tuple[str, ...]

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The end of what it wrote: where programs say why they failed."""
        return self.lines[-LAST_LINES:]


def _ignore(_line: str) -> None:
    """Take a line that nobody asked for."""


async def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    timeout_s: float,
    cwd: Path | None = None,
    on_line: Callable[[str], None] = _ignore,
) -> Outcome:
    """Run a command; kill it when it takes longer than `timeout_s`, and say so as its last line."""
    lines: list[str] = []
    async with spawned(command, environment=environment, cwd=cwd) as process:
        try:
            async with asyncio.timeout(timeout_s):
                async for line in _lines(process):
                    lines.append(line)
                    on_line(line)
                exit_code = await process.wait()
        except TimeoutError:
            lines.append(f"killed: it took longer than {timeout_s:.0f} s")
            exit_code = _KILLED
    return Outcome(exit_code=exit_code, lines=tuple(lines))


@asynccontextmanager
async def spawned(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.STDOUT,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command with its stdout in a pipe; kill it and its children on the way out."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),  # uvloop takes nothing else
            cwd=cwd,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=_LINE_LIMIT_BYTES,
            start_new_session=True,  # its children can be killed with it
        )
    )
    try:
        yield await asyncio.shield(starting)  # cancelled, it would leave children behind
    finally:
        await _end(await starting)


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    if process.stdout is None:
        return
    async for line in process.stdout:
        yield line.decode(errors="replace").rstrip("\n")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    async with asyncio.timeout(_END_S):
        await process.communicate()  # reads to the end too: an open pipe would outlive the loop
