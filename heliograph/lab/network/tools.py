"""Runs ip and nft in the network of a process, with the machine's own programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from heliograph.lab.controlplane.command import spawned
from heliograph.lab.network.errors import CommandFailed
from heliograph.lab.network.host import Host
from heliograph.lab.network.namespaces import SYSTEM_PATH

_TOOL_S: Final = 60.0


async def ip(host: Host, lines: Iterable[str]) -> None:
    """Run lines of ip-batch in a host's network; process ids in them are as this process sees them.

    Raises:
        CommandFailed: One of them failed; those before it stand.
    """
    await _feed(host, ("ip", "-batch", "-"), "\n".join((*lines, "")))


async def nft(host: Host, script: str) -> None:
    """Run an nft script in a host's network, as one transaction.

    Raises:
        CommandFailed: It was refused; nothing of it stands.
    """
    await _feed(host, ("nft", "--file", "-"), script)


async def _feed(host: Host, command: tuple[str, ...], text: str) -> None:
    entered = ("nsenter", f"--target={host.pid}", "--net", "--", *command)
    async with (
        asyncio.timeout(_TOOL_S),
        spawned(
            entered, environment={"PATH": SYSTEM_PATH}, stdin=asyncio.subprocess.PIPE
        ) as process,
    ):
        output, _ = await process.communicate(text.encode())
        exit_code = await process.wait()
    if exit_code:
        raise CommandFailed(
            host.name, command, exit_code=exit_code, output=output.decode(errors="replace")
        )
