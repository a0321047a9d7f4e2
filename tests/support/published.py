"""Programs and schemas that others publish, fetched once into the cache; never skipped in CI."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from heliograph.lab.controlplane.cache import build_key, cache_folder, locked, this_platform
from heliograph.lab.controlplane.command import run
from heliograph.lab.controlplane.errors import ControlPlaneUnavailable
from heliograph.lab.controlplane.go import find_toolchain, go_version

_CACHE = cache_folder(os.environ).parent
_BUILD_S = 300.0
_FETCH_S = 120.0


def missing(sentence: str) -> NoReturn:
    """Skip the test, but not in CI."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def npm_packages(lock: Path) -> Path:
    """Return a folder with the packages of a npm-shrinkwrap.json, whose hashes npm checks."""
    folder = _CACHE / "npm" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if folder.exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        missing("npm, which fetches what this test needs, is not installed")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        for name in ("package.json", "npm-shrinkwrap.json"):
            shutil.copy(lock.parent / name, partial)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=partial, capture_output=True, check=False, timeout=_FETCH_S
        )
        if done.returncode:
            missing(f"npm could not fetch what this test needs: {done.stderr.decode()}")
        if not folder.exists():
            Path(partial).rename(folder)
            Path(partial).mkdir()  # the temporary folder's end wants it
    return folder


async def go_program(module: Path) -> Path:
    """Return the binary of a Go module; built once for the same files, without a C compiler."""
    binary = _CACHE / "examples" / build_key(module, this_platform()) / module.name
    if binary.exists():
        return binary
    binary.parent.mkdir(parents=True, exist_ok=True)
    cache_folder(os.environ).mkdir(parents=True, exist_ok=True)
    wanted = go_version((module / "go.mod").read_text(encoding="utf-8"))
    async with locked(cache_folder(os.environ) / "lock", lambda _: None):
        try:
            toolchain = await find_toolchain(wanted, cache_folder(os.environ), lambda _: None)
        except ControlPlaneUnavailable as error:
            missing(str(error))
        partial = binary.with_suffix(".partial")
        outcome = await run(
            [toolchain.go, "build", "-trimpath", "-buildvcs=false", "-o", partial, "."],
            environment=toolchain.environment(os.environ),
            timeout_s=_BUILD_S,
            cwd=module,
        )
        if outcome.exit_code:
            missing(f"{module.name} could not be built: {' '.join(outcome.last_lines)}")
        partial.rename(binary)
        toolchain.remove()
    return binary
