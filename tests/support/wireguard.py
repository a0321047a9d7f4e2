"""WireGuard in tests: the userspace program, devices of either kind, and what becomes of them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heliograph.wireguard.errors import NoWireGuard
from heliograph.wireguard.kernel import KernelDevice
from heliograph.wireguard.links import LinkInterface
from heliograph.wireguard.userspace import SOCKETS, UserspaceDevice, start_userspace
from tests.support.planes import built_binary

PROGRAM = "HELIOGRAPH_WIREGUARD_GO"
"""Environment variable: the command of another wireguard-go than the one that is built with the
control planes, its words apart by spaces."""


def wireguard_go() -> tuple[str, ...]:
    """Return the command of wireguard-go; without one the test is skipped, but never in CI."""
    command = tuple(os.environ.get(PROGRAM, "").split()) or (str(built_binary()), "wireguard-go")
    if not Path("/dev/net/tun").exists():
        pytest.skip("this machine's kernel has no TUN")
    return command


@asynccontextmanager
async def userspace(name: str = "wg0") -> AsyncIterator[UserspaceDevice]:
    """Run wireguard-go for as long as this lasts."""
    await start_userspace(name, wireguard_go(), log=Path(f"/run/{name}.log"))
    try:
        yield UserspaceDevice(name)
    finally:
        await stop(name)


@asynccontextmanager
async def old_userspace(name: str = "wg0") -> AsyncIterator[UserspaceDevice]:
    """Run wireguard-go behind a socket that refuses what it refused before May 2025."""
    folder = Path("/run/old")
    await asyncio.to_thread(folder.mkdir)
    answering: set[asyncio.Task[None]] = set()
    async with userspace(name):
        server = await asyncio.start_unix_server(
            _as_of_old(name, answering), folder / f"{name}.sock", limit=1 << 26
        )
        async with server:
            yield UserspaceDevice(name, folder)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


def _as_of_old(
    name: str, answering: set[asyncio.Task[None]]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """Return what hands requests on up to the first line with `allowed_ip=-`, as that one did."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with (
            contextlib.closing(writer),
            contextlib.suppress(OSError, asyncio.IncompleteReadError),
        ):
            text = await reader.readuntil(b"\n\n")
            taken, refused, _ = text.partition(b"allowed_ip=-")
            if refused:
                taken += b"\n"
            into, out = await asyncio.open_unix_connection(SOCKETS / f"{name}.sock", limit=1 << 26)
            with contextlib.closing(out):
                out.write(taken)
                answered = await into.readuntil(b"\n\n")
                writer.write(b"errno=-22\n\n" if refused else answered)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    return begin


@asynccontextmanager
async def kernel(name: str = "wg0") -> AsyncIterator[KernelDevice]:
    """Make a device of the kernel; the test is skipped where that has no WireGuard."""
    link = LinkInterface(name)
    try:
        await link.create_kernel_link()
    except NoWireGuard:
        link.close()
        pytest.skip("this machine's kernel has no WireGuard")
    device = KernelDevice(name)
    try:
        yield device
    finally:
        device.close()
        await link.remove()
        link.close()


async def remove_link(name: str) -> None:
    """Remove an interface as somebody else would, and wait until its program, if any, ended."""
    link = LinkInterface(name)
    await link.remove()
    link.close()
    await gone(SOCKETS / f"{name}.sock")


async def cut_off(call: Awaitable[object]) -> None:
    """Begin a call, and cancel it at its first wait."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def stop(name: str) -> None:
    """End the program of a tunnel, if it runs, and wait until it has."""
    path = SOCKETS / f"{name}.sock"
    if path.exists():
        os.kill(process_behind(path), signal.SIGTERM)
    await gone(path)


async def gone(path: Path) -> None:
    """Wait until a file is gone."""
    there = path.exists
    async with asyncio.timeout(20):
        while there():  # noqa: ASYNC110 - another process removes it
            await asyncio.sleep(0.01)


def process_behind(path: Path) -> int:
    """Return the process that listens on a socket: unix(7), SO_PEERCRED."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid: int = struct.unpack("iII", credentials)[0]
    return pid


def some_key(number: int) -> str:
    """Return the public key of peer `number`: nobody's, and always the same."""
    return base64.b64encode(number.to_bytes(32, "big")).decode()
