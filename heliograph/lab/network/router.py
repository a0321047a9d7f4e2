"""The router in the middle: what it loses, what it blocks, and what passes it."""

from __future__ import annotations

import itertools
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from heliograph.lab.network.host import Host
from heliograph.lab.network.node import Node
from heliograph.lab.network.program import Program
from heliograph.lab.network.tools import nft
from heliograph.lab.network.wiring import weather

_CAPTURE: Final = Path(__file__).parent / "programs" / "capture.py"
_WHOLE_PERCENT: Final = 100.0


class Capture:
    """A capture that runs.

    Attributes:
        path: The file (pcap, whole Ethernet frames); complete once it was stopped.
        program: What writes it.
    """

    def __init__(self, path: Path, program: Program) -> None:
        self.path, self.program = path, program

    def stop(self) -> bytes:
        """End it, and return the file's bytes."""
        self.program.stop()
        return self.path.read_bytes()


class Router:
    """The one way from cluster to cluster. What passes inside a cluster never comes by.

    Attributes:
        host: The host that it is; it has one link for each cluster, with the cluster's name.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._loss_percent = 0.0
        self._blocked: set[IPv4Address] = set()
        self._numbers = itertools.count(1)

    async def lose(self, percent: float) -> None:
        """Lose so many of 100 packets, each by its own throw of dice; 0 for none."""
        if not 0 <= percent <= _WHOLE_PERCENT:
            raise ValueError(f"{percent} % cannot be lost")
        self._loss_percent = percent
        await self._tell()

    async def block(self, node: Node) -> None:
        """Drop all packets between a node and other clusters, till `unblock`."""
        self._blocked.add(node.address)
        await self._tell()

    async def unblock(self, node: Node) -> None:
        """Let a node's packets pass again."""
        self._blocked.discard(node.address)
        await self._tell()

    async def capture(self, cluster: str) -> Capture:
        """Write every packet on the link to a cluster to a file, from now on till it is stopped."""
        path = self.host.folder / f"{cluster}-{next(self._numbers)}.pcap"
        arguments = (sys.executable, "-I", _CAPTURE, cluster, path)
        program = self.host.spawn(arguments, name=path.stem)
        await program.wait_ready_async(lambda: program.log_tail == "capturing\n")
        return Capture(path, program)

    async def _tell(self) -> None:
        await nft(self.host, weather(self._loss_percent, self._blocked))
