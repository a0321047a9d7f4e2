"""Debian's kernel in the cache: fetched and unpacked, not installed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from heliograph.lab.controlplane.cache import cache_folder, locked
from heliograph.lab.controlplane.command import Outcome, run
from heliograph.lab.kernel.errors import KernelUnavailable
from heliograph.lab.kernel.requirements import apt_get
from heliograph.progress import Progress, Step

META_PACKAGE: Final = "linux-image-6.12-amd64"
"""Depends on the newest 6.12; the cloud kernels have no 9p, through which the guest sees files."""

_DEPENDS: Final = re.compile(r"^\s*Depends: (linux-image-6\.12\.\S+)$", re.MULTILINE)
_UNPACK_S: Final = 300.0


async def ensure_kernel(progress: Progress) -> Path:
    """Return the kernel's image; its modules are beside it as on an installed machine.

    A kernel in the cache is used as it is, so that a second run needs no network.

    Raises:
        KernelUnavailable: It is not in the cache, and apt could not fetch it.
    """
    folder = cache_folder(os.environ).parent / "kernel"
    folder.mkdir(parents=True, exist_ok=True)
    async with locked(folder / "lock", progress):
        return _newest(folder) or await _fetch(folder, progress)


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("linux-image-*/boot/vmlinuz-*"), default=None)


async def _fetch(folder: Path, progress: Progress) -> Path:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        remedy = "Run the tests on Debian, or under a kernel that has WireGuard."
        raise KernelUnavailable("there is no apt here to fetch one", remedy=remedy)
    if not os.geteuid():
        await apt_get("update")
    package = await _package()
    progress(Step(f"fetching {package} (100 MB)"))
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        await apt_get("download", package, cwd=Path(partial))
        outcome = await _unpack(Path(partial))
        if outcome.exit_code != 0:
            why = f"{package} could not be unpacked"
            remedy = "See whether the disk is full."
            raise KernelUnavailable(why, remedy=remedy, output=outcome.last_lines)
        (Path(partial) / "root").rename(folder / package)
    found = _newest(folder)
    if found is None:
        raise KernelUnavailable(f"{package} holds no kernel", remedy=f"Remove {folder / package}.")
    return found


async def _unpack(folder: Path) -> Outcome:
    """Unpack the one package in a folder into `root` beside it."""
    archives = await asyncio.to_thread(lambda: list(folder.glob("*.deb")))
    command: list[str | Path] = ["dpkg-deb", "-x", *archives, folder / "root"]
    return await run(command, environment=os.environ, timeout_s=_UNPACK_S)


async def _package() -> str:
    command = ["apt-cache", "depends", META_PACKAGE]
    outcome = await run(command, environment=os.environ, timeout_s=_UNPACK_S)
    found = _DEPENDS.search("\n".join(outcome.lines))
    if found is None:
        raise KernelUnavailable(
            f"apt knows no {META_PACKAGE}",
            remedy="Run `apt-get update` on Debian 12 with its security archive.",
            output=outcome.last_lines,
        )
    return found[1]
