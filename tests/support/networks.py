"""Interfaces and networks in a test's own namespaces: see `tests/support/apart.py`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from heliograph.wireguard.links import LinkInterface
from tests.support.wireguard import kernel, userspace


async def run(*command: str, text: str = "") -> str:
    """Run a program that must succeed, and return what it prints; skipped where there is none."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no program {command[0]}")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await process.communicate(text.encode())
    if process.returncode:
        raise AssertionError(f"{' '.join(command)}: {err.decode()}")
    return out.decode()


async def ip(*words: str, of: str = "") -> str:
    """Run `ip`, for the family of the destination that the answer is `of`."""
    return await run("ip", *(("-6",) if ":" in of else ()), *words)


@asynccontextmanager
async def pair(name: str = "wg0") -> AsyncIterator[LinkInterface]:
    """Make a pair of Ethernet interfaces, the other end set up."""
    await ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-end")
    await ip("link", "set", f"{name}-end", "up")
    async with _link(name) as link:
        yield link


@asynccontextmanager
async def tun(name: str = "wg0") -> AsyncIterator[LinkInterface]:
    """Make a tunnel interface that no program reads."""
    await ip("tuntap", "add", "dev", name, "mode", "tun")
    async with _link(name) as link:
        yield link


@asynccontextmanager
async def userspace_link(name: str = "wg0") -> AsyncIterator[LinkInterface]:
    """Run wireguard-go, for its interface."""
    async with userspace(name), _link(name) as link:
        yield link


@asynccontextmanager
async def kernel_link(name: str = "wg0") -> AsyncIterator[LinkInterface]:
    """Make a WireGuard interface of the kernel."""
    async with kernel(name), _link(name) as link:
        yield link


@asynccontextmanager
async def _link(name: str) -> AsyncIterator[LinkInterface]:
    link = LinkInterface(name)
    try:
        yield link
    finally:
        await link.remove()
        link.close()
