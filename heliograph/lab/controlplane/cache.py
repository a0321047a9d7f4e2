"""Where built binaries are kept, what each is called, and who may write there now."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from heliograph.progress import Progress, Step

_INPUTS: Final = ("go.mod", "go.sum", "*.go")
_POLL_S: Final = 0.2
_LOCK_S: Final = 3600.0  # as long as one build may take


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where binaries are kept: below XDG_CACHE_HOME (if that is absolute), or ~/.cache."""
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    root = base if base.is_absolute() else Path.home() / ".cache"
    return root / "heliograph" / "controlplane"


def build_key(module: Path, system: str) -> str:
    """Return the name of one build: a hash of the Go module's files and of the platform."""
    digest = hashlib.sha256(system.encode())
    for path in sorted(path for pattern in _INPUTS for path in module.glob(pattern)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def this_platform() -> str:
    """Return the operating system and machine that a binary built here is for."""
    return f"{platform.system()}-{platform.machine()}".lower()


@asynccontextmanager
async def locked(path: Path, progress: Progress) -> AsyncIterator[None]:
    """Hold the lock file `path`; wait while another process holds it.

    The kernel lets go of it when its holder is gone, however that ended.

    Raises:
        TimeoutError: The other one has held it for longer than a build may take.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_lock(descriptor):
            progress(Step("another process is building the control planes; waiting for it"))
            async with asyncio.timeout(_LOCK_S):
                while not _try_lock(descriptor):  # noqa: ASYNC110 - no event comes from outside
                    await asyncio.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
