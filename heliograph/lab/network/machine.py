"""Looks at the machine: whether it can have a network, and which ranges it uses itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.network.errors import NetworkUnavailable
from heliograph.lab.network.namespaces import SYSTEM_PATH

_TOOLS: Final = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}
_NFT: Final = {"nft": "nftables"}
_LOOK_S: Final = 10.0
_TUN: Final = Path("/dev/net/tun")


class _Address(msgspec.Struct):
    local: str = ""
    prefixlen: int = 32


class _Link(msgspec.Struct):
    addr_info: list[_Address] = []


class _Route(msgspec.Struct):
    dst: str


def require_tools() -> None:
    """Refuse a machine that cannot have a network.

    Raises:
        NetworkUnavailable: Says what is missing, and what to install.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise NetworkUnavailable(
            "networks in the laboratory are namespaces of Linux, which root alone can make: run "
            "this as root on Linux"
        )
    for tool, package in {**_TOOLS, **_NFT}.items():
        if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}") is None:
            raise NetworkUnavailable(
                f"networks in the laboratory need {tool}, which is not here: install {package}"
            )


def require_tun(device: Path = _TUN) -> None:
    """Refuse a machine on which no program can have an interface of its own.

    Raises:
        NetworkUnavailable: Says what is missing, and what to do.
    """
    try:
        device.open("r+b", buffering=0).close()
    except OSError as error:
        raise NetworkUnavailable(
            f"tunnels in the laboratory need {device}, which cannot be used here "
            f"({error.strerror}): load the module (modprobe tun), or give the container the device"
        ) from error


def used_ranges() -> tuple[IPv4Network, ...]:
    """Return the IPv4 ranges that the machine has addresses in or routes to, the default apart."""
    return tuple(_ranges(_ask("address"), _ask("route", "show", "table", "all")))


def _ranges(addresses: bytes, routes: bytes) -> Iterator[IPv4Network]:
    for link in msgspec.json.decode(addresses, type=list[_Link]):
        for address in link.addr_info:
            yield IPv4Network(f"{address.local}/{address.prefixlen}", strict=False)
    for route in msgspec.json.decode(routes, type=list[_Route]):
        if route.dst != "default":
            yield IPv4Network(route.dst, strict=False)


def _ask(*question: str) -> bytes:
    command: Iterable[str] = ("ip", "-json", "-4", *question)
    return subprocess.run(
        tuple(command),
        check=True,
        capture_output=True,
        timeout=_LOOK_S,
        env={"PATH": SYSTEM_PATH},
    ).stdout
