"""Builds the control planes' binary once, into a cache outside the repository.

The same files never build twice, also when two builders start at the same time; what the cache
holds is always whole. Nothing is run but Go (and pip, where there is no Go).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

from heliograph.lab.controlplane.cache import (
    Progress,
    build_key,
    cache_folder,
    locked,
    this_platform,
)
from heliograph.lab.controlplane.command import Outcome, run
from heliograph.lab.controlplane.errors import ControlPlaneUnavailable
from heliograph.lab.controlplane.go import Toolchain, find_toolchain, go_version
from heliograph.lab.controlplane.gobuild import Counter, is_download, is_package, linker_flags

MODULE: Final = Path(__file__).parent / "module"
BINARY: Final = "heliograph-controlplane"

_FETCHING: Final = "fetching the control planes' modules: {count}, {elapsed_s:.0f} s"
_BUILDING: Final = "building the control planes: {count} of about %d packages, {elapsed_s:.0f} s"
_BUILD_S: Final = 3600.0  # six minutes on two fast cores; slow ones take their time
_REMEDY: Final = "If modules could not be fetched, let Go reach its proxy (see `go env GOPROXY`)."


def built_path() -> Path | None:
    """Return the binary if it has been built from the present files, else None."""
    binary = _binary()
    return binary if binary.exists() else None


async def ensure_built(progress: Progress) -> Path:
    """Return the binary; build it first (minutes) when the cache has none of the present files.

    Args:
        progress: Called with one line of text now and then, for a person who waits.

    Raises:
        ControlPlaneUnavailable: There is no Go, or the build failed; says what to do.
    """
    binary = _binary()
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        async with locked(cache_folder(os.environ) / "lock", progress):
            if not binary.exists():  # another builder may have been first
                await _build(binary, progress)
    return binary


def _binary() -> Path:
    return cache_folder(os.environ) / build_key(MODULE, this_platform()) / BINARY


async def _build(binary: Path, progress: Progress) -> None:
    go_mod = (MODULE / "go.mod").read_text(encoding="utf-8")
    toolchain = await find_toolchain(go_version(go_mod), cache_folder(os.environ), progress)
    fetched = Counter(_FETCHING, progress, counts=is_download)
    listed = await _go(toolchain, "list", "-deps", ".", on_line=fetched)
    # Go does not name what it has compiled before, so the count may end below this total.
    built = Counter(_BUILDING % sum(map(is_package, listed.lines)), progress)
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        partial = Path(folder) / BINARY
        options = ("-v", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags(go_mod))
        await _go(toolchain, "build", *options, "-o", str(partial), ".", on_line=built)
        partial.rename(binary)
    await asyncio.to_thread(toolchain.remove)


async def _go(toolchain: Toolchain, *arguments: str, on_line: Counter) -> Outcome:
    outcome = await run(
        [toolchain.go, *arguments],
        environment=toolchain.environment(os.environ),
        timeout_s=_BUILD_S,
        cwd=MODULE,
        on_line=on_line,
    )
    if outcome.exit_code != 0:
        why = f"`go {arguments[0]}` failed"
        raise ControlPlaneUnavailable(why, remedy=_REMEDY, output=outcome.last_lines)
    return outcome
