"""Child processes that never outlive their parent: started, watched, paused and ended.

Everything is synchronous and short; where waiting is needed it polls, with `time.sleep` or, for
callers on an event loop, with `asyncio.sleep`. Linux tells the child when the parent is gone
(PR_SET_PDEATHSIG), also after kill -9 of the parent; elsewhere that last net is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from heliograph.errors import HeliographError

_POLL_S: Final = 0.005
_PR_SET_PDEATHSIG: Final = 1
_FREEZE_S: Final = 5.0
_TAIL_BYTES: Final = 4096
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class ProcessFailed(HeliographError):
    """A child process could not be started, or ended before it was ready.

    Attributes:
        name: Of the program.
        log_tail: The end of what it wrote.
    """

    def __init__(self, message: str, *, name: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.name, self.log_tail = name, log_tail


class ChildSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One program to run.

    Attributes:
        name: For messages, as people know it: "nats-server", "etcd".
        command: Program and arguments.
        log: File that its standard output and error are appended to.
        environment: Set beside the parent's variables.
        directory: Where it runs; None for the parent's own.
        stop_timeout_s: How long it may take to end by itself.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = {}
    directory: Path | None = None
    stop_timeout_s: float = 10.0


class Child:
    """One child process at a time; it can be started again after it has ended.

    Start it from a thread that lives as long as the child shall: Linux counts the end of the
    starting thread as the parent's.
    """

    def __init__(self, settings: ChildSettings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """Process id of the running child; None if there is none."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_tail(self) -> str:
        """The end of what the child wrote since its latest start."""
        if not self.settings.log.exists():
            return ""
        with self.settings.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _TAIL_BYTES))
            return log.read().decode(errors="replace")

    def start(self) -> None:
        """Start the child; it is not ready yet: see `wait_ready`."""
        if self.running:
            raise ProcessFailed(f"{self.settings.name} runs already.", name=self.settings.name)
        given = self.settings
        given.log.parent.mkdir(parents=True, exist_ok=True)
        with given.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._process = subprocess.Popen(
                    given.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=given.directory,
                    env={**os.environ, **given.environment},
                    start_new_session=True,  # Ctrl-C is the parent's to pass on
                    preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - a system call, no locks
                )
            except OSError as error:
                raise ProcessFailed(
                    f"{given.name} cannot be started ({error.strerror}: {given.command[0]}); "
                    "is it installed?",
                    name=given.name,
                ) from error

    def wait_ready(self, ready: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
        """Poll until `ready()`; `ProcessFailed` if the child ends first or time runs out."""
        for _ in self._until(ready, timeout_s):
            time.sleep(_POLL_S)

    async def wait_ready_async(self, ready: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
        """Do the same without blocking the event loop; `ready` must be quick."""
        for _ in self._until(ready, timeout_s):
            await asyncio.sleep(_POLL_S)

    def stop(self) -> None:
        """End it politely, and by force if it takes too long; nothing to do if it has ended."""
        self.resume()  # a paused one cannot hear
        self._signal(signal.SIGTERM)
        self._reap(self.settings.stop_timeout_s)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._signal(signal.SIGKILL)
        self._reap(self.settings.stop_timeout_s)

    def pause(self) -> None:
        """Freeze it: sockets stay open, nothing answers."""
        self._signal(signal.SIGSTOP)
        if self.pid is not None:
            wait_frozen(self.pid)

    def resume(self) -> None:
        """Let a paused one go on."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _until(self, ready: Callable[[], bool], timeout_s: float) -> Iterator[None]:
        name, deadline_s = self.settings.name, time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise self._failed(f"{name} ended before it was ready")
            if time.monotonic() > deadline_s:
                raise self._failed(f"{name} was not ready within {timeout_s:g} s")
            yield

    def _failed(self, what: str) -> ProcessFailed:
        tail = self.log_tail
        last = tail.strip().rpartition("\n")[2] or "nothing"
        return ProcessFailed(
            f"{what}; the last line of {self.settings.log} is: {last}",
            name=self.settings.name,
            log_tail=tail,
        )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def _reap(self, timeout_s: float) -> None:
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        if self.running:
            self._process.kill()
            self._process.wait()


def _die_with(parent: int) -> Callable[[], None]:
    def ask_for_it() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask_for_it


def wait_frozen(pid: int) -> None:
    """Wait until every thread of a process that was sent SIGSTOP stands still: it takes a moment.

    Raises:
        TimeoutError: They did not within five seconds.
    """
    until = time.monotonic() + _FREEZE_S
    while not all(_is_frozen(stat) for stat in Path(f"/proc/{pid}/task").glob("*/stat")):
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} goes on after SIGSTOP")
        time.sleep(_POLL_S)


def _is_frozen(stat: Path) -> bool:
    """Tell whether a thread is stopped, or gone (proc_pid_stat(5): the state follows the name)."""
    try:
        text = stat.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in {"T", "t", "Z", "X"}
