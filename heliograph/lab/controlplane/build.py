"""Builds the laboratory's binaries once, into a cache outside the repository.

The same files never build twice, also when two builders start at the same time; what the cache
holds is always whole. Nothing is run but Go (and pip, where there is no Go).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.controlplane.cache import (
    build_key,
    cache_folder,
    locked,
    this_platform,
)
from heliograph.lab.controlplane.command import Outcome, run
from heliograph.lab.controlplane.errors import ControlPlaneUnavailable
from heliograph.lab.controlplane.go import Toolchain, find_toolchain, go_version
from heliograph.lab.controlplane.gobuild import Counter, is_download, is_package, linker_flags
from heliograph.progress import Progress, Step

MODULE: Final = Path(__file__).parent / "module"
BINARY: Final = "heliograph-controlplane"

_BUILD_S: Final = 3600.0  # six minutes on two fast cores; slow ones take their time
_REMEDY: Final = "If modules could not be fetched, let Go reach its proxy (see `go env GOPROXY`)."


class GoProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A binary that is built from a Go module of ours.

    Attributes:
        what: What it is, for people.
        module: Folder of the module.
        binary: Name of the file.
        flags: Returns the linker's flags from the text of go.mod.
    """

    what: str
    module: Path
    binary: str
    flags: Callable[[str], str]

    @property
    def path(self) -> Path:
        """Where it is, or will be: the folder is named after the module's files."""
        key = build_key(self.module, this_platform())
        return cache_folder(os.environ) / key / self.binary


def control_planes() -> GoProgram:
    """Return the control planes' binary."""
    return GoProgram(what="control planes", module=MODULE, binary=BINARY, flags=linker_flags)


def built_path(program: GoProgram | None = None) -> Path | None:
    """Return a binary, the control planes' by default, if it has been built; else None."""
    binary = (program or control_planes()).path
    return binary if binary.exists() else None


async def ensure_built(progress: Progress, program: GoProgram | None = None) -> Path:
    """Return the binary; build it first (minutes) when the cache has none of the present files.

    Args:
        progress: Told how far it is, for a person who waits.
        program: Which one; the control planes' by default.

    Raises:
        ControlPlaneUnavailable: There is no Go, or the build failed; says what to do.
    """
    wanted = program or control_planes()
    binary = wanted.path
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        async with locked(cache_folder(os.environ) / "lock", progress):
            if not binary.exists():  # another builder may have been first
                await _build(wanted, progress)
    return binary


async def _build(program: GoProgram, progress: Progress) -> None:
    go_mod = (program.module / "go.mod").read_text(encoding="utf-8")
    toolchain = await find_toolchain(go_version(go_mod), cache_folder(os.environ), progress)
    fetching = Step(f"fetching the modules of the {program.what}", done=0, unit="modules")
    fetched = Counter(fetching, progress, counts=is_download)
    listed = await _go(program, toolchain, "list", "-deps", ".", on_line=fetched)
    total = sum(map(is_package, listed.lines))
    building = Step(f"building the {program.what}", done=0, total=total, unit="packages")
    built = Counter(building, progress)
    with tempfile.TemporaryDirectory(dir=program.path.parent) as folder:
        partial = Path(folder) / program.binary
        options = ("-v", "-trimpath", "-buildvcs=false", "-ldflags", program.flags(go_mod))
        await _go(program, toolchain, "build", *options, "-o", str(partial), ".", on_line=built)
        partial.rename(program.path)
    # Go does not name what it has compiled before, so the count may have ended below the total.
    progress(msgspec.structs.replace(building, done=total))
    await asyncio.to_thread(toolchain.remove)


async def _go(
    program: GoProgram, toolchain: Toolchain, *arguments: str, on_line: Counter
) -> Outcome:
    outcome = await run(
        [toolchain.go, *arguments],
        environment=toolchain.environment(os.environ),
        timeout_s=_BUILD_S,
        cwd=program.module,
        on_line=on_line,
    )
    if outcome.exit_code != 0:
        why = f"`go {arguments[0]}` failed"
        raise ControlPlaneUnavailable(
            why, remedy=_REMEDY, output=outcome.last_lines, what=program.what
        )
    return outcome
