"""Child processes that end with the process that started them, whichever thread did it.

Each program of our binary is given one end of a pipe and leaves when the other end closes, which
the kernel does for us when this process is gone. The parent-death signal of `heliograph.process`
follows the *thread* that started the child, and control planes are started from worker threads,
which end earlier. No event loop is involved either: a child may be started in one and stopped in
another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from heliograph.lab.controlplane.command import LAST_LINES
from heliograph.lab.controlplane.errors import ControlPlaneFailed
from heliograph.lab.entered import program_of
from heliograph.process import wait_frozen

LIFELINE: Final = "CONTROLPLANE_LIFELINE"  # main.go reads it

_KILL_S: Final = 5.0  # the kernel needs milliseconds, unless the disk hangs
_TAIL_BYTES: Final = 16 * 1024


class ChildProcess:
    """One program of our binary; may be started again after it ended.

    Args:
        name: For messages, such as "west/etcd".
        command: What to run.
        folder: Where it runs and finds its files; also its home.
        log: Its stdout and stderr are appended here.
        prefix: An nsenter(1) command that leads it into other namespaces; empty for none.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        log: Path,
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._command, self._folder, self._log = tuple(command), folder, log
        self._prefix = tuple(prefix)
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    @property
    def pid(self) -> int | None:
        """Its process id while it is started; that of nsenter, if it has been led elsewhere."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; one that still runs from an earlier start is killed first."""
        self.wait(0)
        theirs, self._lifeline = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._process = self._spawn(log.fileno(), theirs)
        except BaseException:
            self._close_lifeline()
            raise
        finally:
            os.close(theirs)

    def check(self) -> None:
        """Raise `ControlPlaneFailed` with the end of the log when it has ended by itself."""
        if self._process is not None and (exit_code := self._process.poll()) is not None:
            raise self.failure(f"ended by itself with exit code {exit_code}")

    def failure(self, what: str) -> ControlPlaneFailed:
        """Return the error that says `what` and quotes the end of the log."""
        return ControlPlaneFailed(
            self.name, what=what, log=self._log, last_lines=_last_lines(self._log)
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is running; return from SIGSTOP once it stands still."""
        if self._process is None:
            return
        if number is signal.SIGCONT:  # nsenter stands still when its program does
            self._process.send_signal(number)
        signalled = program_of(self._process.pid) if self._prefix else None
        if signalled is None:
            signalled = self._process.pid
            self._process.send_signal(number)
        else:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(signalled, number)
        if number is signal.SIGSTOP:
            wait_frozen(signalled)

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended; kill it after `timeout_s`."""
        if self._process is None:
            return
        try:
            self._process.wait(max(timeout_s, 0))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait(_KILL_S)
        self._process = None
        self._close_lifeline()

    def _spawn(self, log: int, lifeline: int) -> subprocess.Popen[bytes]:
        entered = (*self._prefix, "env", f"--chdir={self._folder}") if self._prefix else ()
        return subprocess.Popen(
            (*entered, *self._command),
            cwd=self._folder,
            env=self._environment(lifeline),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lifeline,),
            # Its own group: Ctrl+C in a terminal is for us, and we stop it in order. Should we be
            # killed while it is paused, the kernel continues an orphaned group, with SIGHUP.
            process_group=0,
        )

    def _environment(self, lifeline: int) -> dict[str, str]:
        # Hardly anything of ours: neither proxies nor kubeconfig files may lead it elsewhere.
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "HOME": str(self._folder), LIFELINE: str(lifeline)}

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def stop_all(children: Iterable[ChildProcess], grace_s: float, *, kill: bool = False) -> None:
    """End children at the same time: ask, and kill what is still there after `grace_s`."""
    stopping = tuple(children)
    for child in stopping:
        child.signal(signal.SIGKILL if kill else signal.SIGTERM)
        child.signal(signal.SIGCONT)  # one that is paused would never get to hear of it
    deadline = time.monotonic() + grace_s
    for child in stopping:
        child.wait(deadline - time.monotonic())


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-LAST_LINES:]
