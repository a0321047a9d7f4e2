"""Resolves DNS names where this runs, again and again.

Nothing waits for it, and it waits for nothing: a server of names that does not answer costs a few
threads, which end with the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

PERIOD_S: Final = 60.0
"""How often a name is resolved anew, seconds; a new one is at once."""

TIMEOUT_S: Final = 10.0
"""When a look-up counts as failed; resolvers give up after 5 to 30 s."""

_LOOK_S: Final = 1.0
_AT_ONCE: Final = 8

LookUp = Callable[[str], Awaitable[tuple[str, ...]]]
"""Returns the addresses of a name; nothing if there are none."""


class Resolver:
    """Keeps the addresses of names, of which there may be others at any time."""

    def __init__(
        self,
        hosts: Callable[[], Iterable[str]],
        answer: Callable[[str, tuple[str, ...]], None],
        *,
        look_up: LookUp | None = None,
    ) -> None:
        """Prepare.

        Args:
            hosts: Returns the names.
            answer: Hears what a name resolves to: nothing if it does not, or not in time.
            look_up: Resolves a name; the system's resolver if none is given.
        """
        self._hosts, self._answer = hosts, answer
        self._look_up = look_up or system_look_up
        self._due_s: dict[str, float] = {}
        self._under_way: set[str] = set()

    async def run(self) -> None:
        """Resolve for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for host in self._due():
                    self._under_way.add(host)
                    tasks.create_task(self._resolve(host))
                await asyncio.sleep(_LOOK_S)

    def _due(self) -> list[str]:
        """Return names to resolve now, longest due first, as many as there are free places."""
        now_s = asyncio.get_running_loop().time()
        hosts = set(self._hosts())
        self._due_s = {host: self._due_s.get(host, now_s) for host in hosts}
        due = [h for h, due_s in self._due_s.items() if due_s <= now_s and h not in self._under_way]
        return sorted(due, key=self._due_s.__getitem__)[: _AT_ONCE - len(self._under_way)]

    async def _resolve(self, host: str) -> None:
        addresses: tuple[str, ...] = ()
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                addresses = await self._look_up(host)
        self._under_way.discard(host)
        if host in self._due_s:
            self._due_s[host] = asyncio.get_running_loop().time() + PERIOD_S
            self._answer(host, addresses)


async def system_look_up(host: str) -> tuple[str, ...]:
    """Return the addresses of a name, by the system's resolver; nothing if there are none.

    Each look-up has a thread of its own, that no end of the process waits for: those of the event
    loop are few, and the connections to the API server and the bus need them.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def look_up() -> None:
        addresses = _addresses(host)
        with suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(_settle, found, addresses)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    return await found


def _addresses(host: str) -> tuple[str, ...]:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ()
    return tuple({str(info[4][0]).partition("%")[0] for info in infos})


def _settle(found: asyncio.Future[tuple[str, ...]], addresses: tuple[str, ...]) -> None:
    if not found.done():  # given up meanwhile
        found.set_result(addresses)
