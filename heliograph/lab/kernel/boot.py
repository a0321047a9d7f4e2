"""Runs a command under a kernel that has WireGuard: this machine's own, or one under QEMU."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from heliograph.lab.controlplane.command import LAST_LINES, run, spawned
from heliograph.lab.kernel.errors import KernelUnavailable
from heliograph.lab.kernel.guest import NO_WIREGUARD, script, vng
from heliograph.lab.kernel.package import ensure_kernel
from heliograph.lab.kernel.requirements import ensure_packages, search_path, virtme
from heliograph.progress.shown import shown

Say = Callable[[str], None]
"""Prints a line: of ours, or of the command."""

_PROBE: Final = ("unshare", "--net", "ip", "link", "add", "probe0", "type", "wireguard")
_PROBE_S: Final = 30.0
_RUN_S: Final = 1800.0  # a minute or two on an idle machine; emulated, on a busy one, many more


async def run_under_wireguard(command: Sequence[str], say: Say) -> int:
    """Run a command in this folder under a kernel that has WireGuard; return its exit code.

    Raises:
        KernelUnavailable: Nothing was run: there is no such kernel, and none can be started.
        TimeoutError: It took longer than half an hour.
    """
    began = time.monotonic()
    if await machine_has_wireguard():
        say("this machine's own kernel has WireGuard")
        process = await asyncio.create_subprocess_exec(*command)
        code = await process.wait()
    else:
        code = await _run_in_guest(command, say)
    say(f"under a kernel with WireGuard: {time.monotonic() - began:.0f} s, exit code {code}")
    return code


async def machine_has_wireguard() -> bool:
    """Tell whether an interface of WireGuard can be made, in a network of its own, that ends."""
    if not shutil.which("unshare") or not shutil.which("ip", path=search_path()):
        return False
    environment = {**os.environ, "PATH": search_path()}
    return (await run(_PROBE, environment=environment, timeout_s=_PROBE_S)).exit_code == 0


async def _run_in_guest(command: Sequence[str], say: Say) -> int:
    with shown(Console(stderr=True)) as begin:
        progress = begin()
        await ensure_packages(progress)
        program, kernel = virtme(), await ensure_kernel(progress)
    say(f"starting {kernel.name.removeprefix('vmlinuz-')} under QEMU; a minute or two")
    with tempfile.TemporaryDirectory(prefix="heliograph-kernel-") as folder:
        guest = Path(folder) / "guest"
        guest.write_text(script(command, cwd=Path.cwd(), path=search_path()), encoding="utf-8")
        guest.chmod(0o700)
        status = Path(folder) / "status"
        async with asyncio.timeout(_RUN_S):
            said = await _boot(vng(program, kernel, guest, status), Path(folder), say)
        return exit_code(status, said)


async def _boot(command: Sequence[str], folder: Path, say: Say) -> list[str]:
    """Run until the guest has powered off; return the last of what its kernel said."""
    environment = {
        **os.environ,
        "PATH": search_path(),
        "TMPDIR": str(folder),
    }  # virtme leaves files
    with (folder / "console").open("w+", encoding="utf-8", errors="replace") as console:
        async with spawned(command, environment=environment, stderr=console.fileno()) as process:
            if process.stdout is not None:
                async for line in process.stdout:
                    say(line.decode(errors="replace").rstrip())
            await process.wait()
        console.seek(0)
        return console.read().splitlines()[-LAST_LINES:]


def exit_code(status: Path, said: Sequence[str]) -> int:
    """Return what the guest wrote into its status file.

    Args:
        status: That file; missing or empty if the guest did not get that far.
        said: The kernel's last messages, to be quoted.

    Raises:
        KernelUnavailable: The command did not run to its end, or there was no WireGuard.
    """
    code = status.read_text(encoding="utf-8").strip() if status.exists() else ""
    if not code:
        why = "the guest ended before its command did"
        raise KernelUnavailable(why, remedy="It said last:", output=said)
    if int(code) == NO_WIREGUARD:
        remedy = "Its modules are beside it in the cache; remove that folder to fetch it anew."
        raise KernelUnavailable("the guest's kernel loads no WireGuard", remedy=remedy, output=said)
    return int(code)
