"""A host of the network (a node, a pod, a router), and what runs inside."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sysconfig
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.controlplane.command import spawned
from heliograph.lab.entered import entering
from heliograph.lab.network.errors import CommandFailed
from heliograph.lab.network.namespaces import SYSTEM_PATH, Namespaces
from heliograph.lab.network.program import Program
from heliograph.process import ChildSettings

_CLONE_NEWNET: Final = 0x40000000  # sched.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_RUN_S: Final = 60.0
HELIOGRAPH: Final = Path(sysconfig.get_path("scripts")) / "heliograph"
"""The command of this installation."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        where: The host that it ran in.
        command: What ran.
        exit_code: Its own, or the negative number of the signal that ended it.
        stdout, stderr: What it wrote.
    """

    where: str
    command: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    def text(self) -> str:
        """Return what it wrote to stdout.

        Raises:
            CommandFailed: Its exit code was not 0.
        """
        if self.exit_code:
            output = self.stderr or self.stdout
            raise CommandFailed(self.where, self.command, exit_code=self.exit_code, output=output)
        return self.stdout


class Host:
    """One host: programs run in it with a small environment, at home in a folder of its own.

    Args:
        name: For messages, such as "west/w1".
        namespaces: Its own.
        folder: Takes logs and whatever programs leave; the machine's own files can be read too.

    Attributes:
        folder: The same, absolute.
    """

    def __init__(self, name: str, namespaces: Namespaces, folder: Path) -> None:
        self.name, self._namespaces, self.folder = name, namespaces, folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._programs: list[Program] = []

    @property
    def pid(self) -> int:
        """Process id of the first process in it."""
        return self._namespaces.pid

    @property
    def alive(self) -> bool:
        """Whether it has not been killed."""
        return self._namespaces.alive

    def command(
        self, arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the command line that runs `arguments` in here; nothing of ours is inherited."""
        path = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"
        given = {"PATH": path, "HOME": str(self.folder), **(environment or {})}
        clean = ("env", "--ignore-environment", f"--chdir={self.folder}")
        pairs = (f"{key}={value}" for key, value in given.items())
        return (*entering(self.pid), *clean, *pairs, *map(str, arguments))

    async def run(
        self,
        arguments: Sequence[str | Path],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = _RUN_S,
    ) -> Outcome:
        """Run a command to its end.

        Raises:
            TimeoutError: It took longer than `timeout_s`, and was killed.
        """
        async with (
            asyncio.timeout(timeout_s),
            spawned(
                self.command(arguments, environment),
                environment=os.environ,
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            ) as process,
        ):
            stdout, stderr = await process.communicate(stdin.encode())
            exit_code = await process.wait()
        return Outcome(
            where=self.name,
            command=tuple(map(str, arguments)),
            exit_code=exit_code,
            stdout=stdout.decode(errors="replace"),
            stderr=stderr.decode(errors="replace"),
        )

    def spawn(
        self,
        arguments: Sequence[str | Path],
        *,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start a program and return at once; see `Program.wait_ready_async` for waiting.

        Args:
            arguments: Program and arguments.
            name: For messages, and of its log in `folder`; the program's own by default.
            environment: Beside PATH and HOME.
        """
        called = name or Path(arguments[0]).name
        program = Program(
            ChildSettings(
                name=f"{self.name}/{called}",
                command=self.command(arguments, environment),
                log=self.folder / f"{called}.log",
            )
        )
        program.start()
        self._programs.append(program)
        return program

    def heliograph(
        self,
        *arguments: str | Path,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start one of Heliograph's programs, such as "watcher"; `name` as in `spawn`."""
        called = name or f"heliograph-{arguments[0]}"
        return self.spawn((HELIOGRAPH, *arguments), name=called, environment=environment)

    async def heliograph_once(self, *arguments: str | Path) -> Outcome:
        """Run one of Heliograph's commands to its end; raises as `run` does."""
        return await self.run((HELIOGRAPH, *arguments))

    def connect(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        """Open a TCP connection from in here, for this process to use.

        Raises:
            OSError: Nobody answers there.
        """
        with ThreadPoolExecutor(max_workers=1) as pool:  # a thread of its own, as it moves
            return pool.submit(_connect, self.pid, address, timeout_s).result()

    def reaches(self, address: tuple[str, int], timeout_s: float = 1.0) -> bool:
        """Whether a TCP connection from in here to an address and port can be opened."""
        try:
            self.connect(address, timeout_s).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End all that runs in here, and its network with it, as a power failure would."""
        self._namespaces.kill()
        for program in self._programs:
            program.kill()  # is gone, and is now known to be


def _connect(pid: int, address: tuple[str, int], timeout_s: float) -> socket.socket:
    """Move this thread into the network of process `pid`, for good; a socket stays where made."""
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _LIBC.setns(network, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(network)
    return socket.create_connection(address, timeout_s)
