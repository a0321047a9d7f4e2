"""Namespaces that nobody else sees: a test runs in a thread with a network of its own.

The thread leaves the process's namespaces of networks and mounts for new ones, with nothing in
the network but a loopback, and an empty /run. What it starts is in there as well. Threads that it
makes inherit both, and `inside` moves such a thread into another network.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

P = ParamSpec("P")
T = TypeVar("T")

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWNET = 0x00020000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def apart(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in namespaces of its own; skipped where those cannot be made."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if os.geteuid():
            pytest.skip("namespaces are made by root")

        async def body() -> None:
            await test(*args, **kwargs)

        def thread() -> None:
            _leave()
            asyncio.run(body())

        in_thread(thread)

    return run


def in_thread(body: Callable[[], T]) -> T:
    """Run something in a thread of its own, and return what it returned, or raise its error."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(body())
        except BaseException as exc:  # noqa: BLE001 - whoever asked gets it
            result.set_exception(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result.result()


async def inside(network: str, body: Callable[[], Awaitable[T]]) -> T:
    """Run something in a named network, on an event loop of its own, while this one goes on."""

    def thread() -> T:
        enter(network)
        return asyncio.run(_awaited(body))

    return await asyncio.to_thread(in_thread, thread)


async def _awaited(body: Callable[[], Awaitable[T]]) -> T:
    return await body()


def enter(network: str) -> None:
    """Move this thread into a network that `ip netns add` made."""
    with Path("/run/netns", network).open() as handle:
        _check(_LIBC.setns(handle.fileno(), _NEWNET), "setns")


def _leave() -> None:
    _check(_LIBC.unshare(_NEWNS | _NEWNET), "unshare")
    _check(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
    _check(_LIBC.mount(b"tmpfs", b"/run", b"tmpfs", 0, None), "mount")
    _loopback_up()


def _loopback_up() -> None:
    siocgifflags, siocsifflags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", up)
        for call in (siocgifflags, siocsifflags):
            buffer = ctypes.create_string_buffer(request, 40)
            _check(_LIBC.ioctl(control.fileno(), call, buffer), "ioctl")
            name, flags = struct.unpack_from("16sh", buffer.raw)
            request = struct.pack("16sh22x", name, flags | up)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
