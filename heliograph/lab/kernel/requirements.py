"""What must be on the machine to start a kernel, and how it gets there."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

from heliograph.lab.controlplane.command import run
from heliograph.lab.kernel.errors import KernelUnavailable
from heliograph.progress import Progress, Step

_PACKAGES: Final = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "ip": "iproute2",
    "nft": "nftables",
}
"""Debian's packages by the commands that are needed of them."""

_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"  # not on everybody's PATH
_INSTALL_S: Final = 900.0


def search_path() -> str:
    """Return where commands are looked for, here and in the guest; this Python's come first."""
    own = sysconfig.get_path("scripts")  # vng calls virtme-run, whoever called vng
    return f"{own}:{os.environ.get('PATH', os.defpath)}:{_SBIN}"


def missing_packages() -> list[str]:
    """Return the Debian packages whose commands this machine has not."""
    path = search_path()
    return [name for command, name in _PACKAGES.items() if not shutil.which(command, path=path)]


def virtme() -> Path:
    """Return the command of virtme-ng, which `make setup` installs.

    Raises:
        KernelUnavailable: It is not there.
    """
    command = Path(sysconfig.get_path("scripts")) / "vng"
    if not command.exists():
        raise KernelUnavailable("virtme-ng is not installed", remedy="Run `make setup`.")
    return command


async def ensure_packages(progress: Progress) -> None:
    """Install the missing packages, on a Debian machine as root.

    Raises:
        KernelUnavailable: This is another machine, or apt-get could not install them.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise KernelUnavailable("this is no Linux on x86-64", remedy="Run the tests on one.")
    missing = missing_packages()
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() or not shutil.which("apt-get"):
        why = f"these Debian packages, or what is in them, are missing: {names}"
        raise KernelUnavailable(why, remedy=f"As root: apt-get install {names}")
    progress(Step(f"installing {names}"))
    await apt_get("update")
    await apt_get("install", "--yes", "--no-install-recommends", *missing)


async def apt_get(*arguments: str, cwd: Path | None = None) -> None:
    """Run apt-get, waiting for whoever else does.

    Raises:
        KernelUnavailable: It failed; quotes what it said.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": search_path()}
    command = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=300", *arguments]
    outcome = await run(command, environment=environment, timeout_s=_INSTALL_S, cwd=cwd)
    if outcome.exit_code != 0:
        raise KernelUnavailable(
            f"`apt-get {arguments[0]}` failed",
            remedy="Let apt reach a mirror of Debian.",
            output=outcome.last_lines,
        )
