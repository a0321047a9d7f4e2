"""The kernel with WireGuard, but for starting one: what is run, and what is said instead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.lab.kernel import __main__ as command_line
from heliograph.lab.kernel import boot, requirements
from heliograph.lab.kernel.errors import KernelUnavailable
from heliograph.lab.kernel.guest import MODULES, NO_WIREGUARD, script, vng

_WITH_FAKE = """
import os, signal, sys, threading, time
from pathlib import Path
from heliograph.lab.kernel import __main__ as command_line, boot

async def nothing(*_):
    return Path("vmlinuz")

async def no():
    return False

def end_once_it_runs():
    while not Path({pid!r}).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

boot.machine_has_wireguard, boot.ensure_packages, boot.ensure_kernel = no, nothing, nothing
boot.virtme, boot.vng = (lambda: Path("vng")), (lambda *_: [{fake!r}])
sys.argv = ["kernel", "true"]
threading.Thread(target=end_once_it_runs).start()
sys.exit(command_line.main())
"""
"""A run whose guest is a shell script, ended from outside as soon as that runs."""


def runs(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_the_script_is_one_that_a_shell_reads() -> None:
    """Words with spaces and quotes stay words, in a folder with a space in its name."""
    text = script(["echo", "it's", "a b"], cwd=Path("/a b"), path="/usr/bin")
    read = subprocess.run(
        ["/bin/sh", "-n"], input=text, text=True, check=False, capture_output=True
    )

    assert (read.returncode, read.stderr) == (0, "")
    assert all(module in text for module in MODULES)


def test_nothing_of_the_machine_is_writable() -> None:
    """Both views that the guest has of this machine's files are read-only."""
    command = vng(Path("vng"), Path("vmlinuz"), Path("script"), Path("status"))

    assert "--rw" not in command
    assert "path=/,security_model=none,readonly=on" in " ".join(command)


@pytest.mark.parametrize(("text", "code"), [("0\n", 0), ("1\n", 1), ("5\n", 5)])
def test_theexit_code_is_the_commands(tmp_path: Path, text: str, code: int) -> None:
    """What the guest reports is what the command returned."""
    (tmp_path / "status").write_text(text)

    assert boot.exit_code(tmp_path / "status", []) == code


@pytest.mark.parametrize("text", ["", f"{NO_WIREGUARD}\n"], ids=["no word", "no WireGuard"])
def test_a_guest_without_result_has_not_passed(tmp_path: Path, text: str) -> None:
    """A guest that panicked, or has no WireGuard, is an error, and the kernel is quoted."""
    (tmp_path / "status").write_text(text)
    with pytest.raises(KernelUnavailable, match="Kernel panic"):
        boot.exit_code(tmp_path / "status", ["Kernel panic"])


async def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not install is told what to install, in one sentence."""
    monkeypatch.setattr(requirements, "missing_packages", lambda: ["qemu-system-x86", "kmod"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(KernelUnavailable, match="apt-get install qemu-system-x86 kmod"):
        await requirements.ensure_packages(print)


def test_without_a_kernel_nothing_counts_as_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code tells `make test` that no test ran; what is missing stands on stdout."""

    async def unavailable(*_: object) -> int:
        raise KernelUnavailable("there is no QEMU", remedy="Install it.")

    monkeypatch.setattr(command_line, "run_under_wireguard", unavailable)
    monkeypatch.setattr("sys.argv", ["kernel", "true"])

    assert command_line.main() == command_line.UNAVAILABLE
    assert "there is no QEMU. Install it." in capsys.readouterr().out


def test_whoever_ends_it_ends_the_guest(tmp_path: Path) -> None:
    """A SIGTERM reaches what was started: neither a process nor a folder stays behind."""
    pid = tmp_path / "pid"
    fake = tmp_path / "fake"
    fake.write_text(f"#!/bin/sh\nsleep 60 & echo $! >{pid}.new; mv {pid}.new {pid}; wait\n")
    fake.chmod(0o700)
    ended = subprocess.run(
        [sys.executable, "-c", _WITH_FAKE.format(fake=str(fake), pid=str(pid))],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        timeout=60,
    )

    assert ended.returncode == 128 + signal.SIGTERM
    assert not runs(int(pid.read_text()))
    assert not list(tmp_path.glob("heliograph-kernel-*"))
