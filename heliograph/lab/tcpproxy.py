"""A TCP proxy with faults: what stands between two programs in bad times, on loopback.

Faults hold until `heal`. As TCP never loses bytes in the middle of a connection, `heal` resets
the connections that lost some.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from typing import Final, Self

_READ_BYTES: Final = 64 * 1024
_HOST: Final = "127.0.0.1"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # linger on, for no time: close() sends RST


class Direction(enum.Enum):
    """Which way bytes go."""

    TO_SERVER = enum.auto()
    TO_CLIENT = enum.auto()


class _Link:
    """One client's connection and its continuation to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writers = client, server
        self.lossy = False

    def reset(self) -> None:
        for writer in self.writers:
            _reset(writer)


class TcpProxy:
    """Forwards connections from a port of its own to one server.

    Attributes:
        delay_s: Every chunk waits so long before it goes on, in both directions.
    """

    def __init__(self, port: int, host: str = _HOST) -> None:
        self.delay_s = 0.0
        self._target = host, port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._dropping: frozenset[Direction] = frozenset()
        self._refusing = False
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where clients connect, on 127.0.0.1."""
        if self._server is None:
            raise RuntimeError("the proxy is not started: use `async with`")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def hold(self) -> None:
        """Make a black hole: connections stay, new ones open, nothing flows till `heal`."""
        self._flowing.clear()

    def drop(self, *directions: Direction) -> None:
        """Let what goes in these directions vanish; connections stay open till `heal`."""
        self._dropping = frozenset(directions)

    def refuse(self) -> None:
        """Reset all connections, and every new one till `heal`."""
        self._refusing = True
        self.reset()

    def reset(self) -> None:
        """Reset all connections, once; new ones are welcome."""
        for link in tuple(self._links):
            link.reset()

    def heal(self) -> None:
        """End all faults; what was held flows, connections that lost bytes are reset."""
        self.delay_s = 0.0
        self._refusing = False
        self._dropping = frozenset()
        for link in tuple(self._links):
            if link.lossy:
                link.reset()
        self._flowing.set()

    @property
    def connections(self) -> int:
        """How many connections stand."""
        return len(self._links)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._tasks.add(task)
        try:
            if not self._refusing:
                await self._forward(reader, writer)
        finally:
            _reset(writer)
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return  # the client sees a reset
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, reader, Direction.TO_SERVER))
                pumps.create_task(self._pump(link, server_reader, Direction.TO_CLIENT))
        finally:
            self._links.discard(link)
            link.reset()

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, way: Direction) -> None:
        writer = link.writers[1 if way is Direction.TO_SERVER else 0]
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_READ_BYTES):
                await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                if way in self._dropping:
                    link.lossy = True
                else:
                    writer.write(chunk)
                    await writer.drain()
        link.reset()  # one side has ended: so does the other


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if not writer.is_closing() and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
