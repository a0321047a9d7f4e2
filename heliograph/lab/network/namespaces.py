"""Namespaces that live as long as one process: the first one in them.

The network is the one holder, and every host in it is a child of its PID namespace: when the first
process of a PID namespace is gone, for whatever reason, the kernel kills all the others, and with
the last process its interfaces go (pid_namespaces(7), network_namespaces(7)). That first process
ends when its standard input does, and so with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from heliograph.lab.entered import program_of
from heliograph.lab.network.errors import NetworkUnavailable

SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"

_UNSHARE: Final = (
    "unshare",
    "--net",
    "--uts",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
)
_FIRST: Final = """\
set -e
mount -t tmpfs -o mode=755 laboratory /run
mkdir /run/wireguard
mount -t sysfs laboratory /sys
echo "$1" > /proc/sys/kernel/hostname
resolver=$(readlink -m /etc/resolv.conf)
case "$resolver" in /run/*) mkdir -p "${resolver%/*}"; touch "$resolver";; esac
mount --bind "$2" "$resolver"
shift 2
for pair; do
  file="/proc/sys/net/${pair%%=*}"
  if [ -e "$file" ]; then echo "${pair#*=}" > "$file"; fi
done
ip link set lo up
echo ready
cat > /dev/null
:
"""
"""What the first process does. /run is its own: what stands on the machine's (sockets of resolvers
among it) is out of reach, and what programs leave there goes with the host. The last line keeps
the shell from becoming `cat`: the first process must reap the orphans, and shells do.
"""

_READY_S: Final = 30.0  # milliseconds on an idle machine
_GONE_S: Final = 10.0  # the kernel needs milliseconds to kill what is in a PID namespace


class Namespaces:
    """A network, a mount, a PID and a host name namespace, held by their first process.

    Args:
        name: The host name inside.
        resolver: A file that stands for /etc/resolv.conf inside.
        sysctls: Values by their paths below /proc/sys/net; those that the kernel lacks are skipped.
        inside: The process id of other namespaces to be made in; None for the machine itself.
    """

    def __init__(
        self, name: str, *, resolver: Path, sysctls: Mapping[str, str], inside: int | None = None
    ) -> None:
        self.name, self._nested = name, inside is not None
        outer = () if inside is None else _within(inside)
        pairs = (f"{key}={value}" for key, value in sysctls.items())
        first = ("sh", "-c", _FIRST, "first", name, str(resolver), *pairs)
        self._process = subprocess.Popen(
            (*outer, *_UNSHARE, *first),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": SYSTEM_PATH},
            start_new_session=True,  # Ctrl+C is ours to pass on
        )
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """Process id of the first process, as this process sees it; known after `wait`."""
        if self._pid is None:
            raise RuntimeError(f"{self.name} is not ready: call wait() first")
        return self._pid

    @property
    def alive(self) -> bool:
        """Whether the first process is there."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until the namespaces are made.

        Raises:
            NetworkUnavailable: They cannot be made here; says what the kernel or a tool said.
        """
        said = _read_until(self._process, b"ready\n", _READY_S)
        if not said.endswith(b"ready\n"):
            self.kill()
            reason = said.decode(errors="replace").strip() or "nobody said why"
            raise NetworkUnavailable(
                f"namespaces for the laboratory's {self.name} cannot be made: {reason}. Run as "
                "root, outside of containers that lack rights."
            )
        pid: int | None = self._process.pid
        for _ in range(2 if self._nested else 1):  # nsenter, unshare
            pid = None if pid is None else program_of(pid)
        self._pid = pid

    def kill(self) -> None:
        """End the first process, and with it all that runs in these namespaces."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()  # this alone ends the shell, once `cat` has seen it
        if self._pid is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        elif self.alive:
            self._process.kill()
        self._process.wait(_GONE_S)


def kill_all(namespaces: Iterable[Namespaces]) -> None:
    """End several, the first ones first; those inside of them are then gone already."""
    for each in namespaces:
        each.kill()


def _within(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--target={pid}", "--mount", "--pid", "--")


def _read_until(process: subprocess.Popen[bytes], end: bytes, within_s: float) -> bytes:
    if process.stdout is None:
        return b""
    said, deadline_s = b"", time.monotonic() + within_s
    while not said.endswith(end):
        left_s = deadline_s - time.monotonic()
        if not select.select([process.stdout], [], [], max(left_s, 0))[0]:
            return said + b"it took too long"
        chunk = os.read(process.stdout.fileno(), 4096)
        if not chunk:
            break
        said += chunk
    return said
