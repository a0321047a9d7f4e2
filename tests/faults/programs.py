"""A watcher, reflector or peerer as a process: it can be stopped, killed, paused, and asked."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp

from heliograph.process import Child, ChildSettings

_PAGE_S: Final = 2.0
_WRITES: Final = re.compile(r"^heliograph_api_writes_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)


class Program:
    """One program of one cluster; each start makes a new process with a page on a new port.

    Attributes:
        name: Such as "watcher of east".
        wanted: Whether it should run; one that ends by itself is started again by its keeper.
        was_ready: Whether this process has been ready; until then it may give up, and be started
            again, since what it needs may be away.
    """

    def __init__(self, program: str, cluster: str, kubeconfig: Path, *flags: str) -> None:
        self.name = f"{program} of {cluster}"
        self.log = kubeconfig.parent / f"{program}-{cluster}.log"
        self.wanted = self.was_ready = False
        self._page = ""
        self._command = (
            *(sys.executable, "-m", "heliograph", program, "--cluster", cluster),
            *("--kubeconfig", f"{kubeconfig}@{cluster}", *flags, "--listen"),
        )
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._child is not None and self._child.running

    @property
    def last_words(self) -> str:
        """The last line that it wrote."""
        tail = self._child.log_tail if self._child else ""
        return tail.strip().rpartition("\n")[2]

    def start(self) -> None:
        """Start it; only from a thread that lives as long as it shall: see `Child`."""
        listen = f"127.0.0.1:{_free_port()}"
        self._page = f"http://{listen}"
        command = (*self._command, listen)
        self._child = Child(ChildSettings(name=self.name, command=command, log=self.log))
        self.wanted, self.was_ready = True, False
        self._child.start()

    def end(self) -> None:
        """End it for good."""
        self.wanted = False
        if self._child is not None:
            self._child.kill()

    async def stop(self) -> None:
        """End it with SIGTERM, and wait until it has ended."""
        await self._end(Child.stop)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self._end(Child.kill)

    async def pause(self) -> None:
        """Freeze it."""
        if self._child is not None:
            await asyncio.to_thread(self._child.pause)

    async def resume(self) -> None:
        """Let it go on."""
        if self._child is not None:
            self._child.resume()

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """Tell whether its page says that it does its work right now."""
        ready = await self._ask(session, "/readyz") is not None
        self.was_ready = self.was_ready or ready
        return ready

    async def api_writes(self, session: aiohttp.ClientSession) -> int:
        """Return how many writes this process has sent to its API server, whatever came of them."""
        text = await self._ask(session, "/metrics")
        assert text is not None, f"{self.name} serves no metrics"
        return sum(int(float(value)) for value in _WRITES.findall(text))

    async def _ask(self, session: aiohttp.ClientSession, path: str) -> str | None:
        timeout = aiohttp.ClientTimeout(total=_PAGE_S)
        try:
            async with session.get(self._page + path, timeout=timeout) as answer:
                return await answer.text() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _end(self, how: Callable[[Child], None]) -> None:
        self.wanted = False
        if self._child is not None:
            await asyncio.to_thread(how, self._child)


async def together(*work: Awaitable[object]) -> None:
    """Wait for all; the first error is raised once all have ended."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
