"""Asks the agents of a cluster for their tunnels, over its bus."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from heliograph.bus import Connection, PermissionDenied, ask
from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.contract.tunnels import (
    MalformedTunnels,
    Tunnel,
    TunnelsAsked,
    TunnelsTold,
    decode_told,
    encode_tunnels,
    tunnels_subject,
)
from heliograph.errors import HeliographError
from heliograph.imports.links import LinkFollower

_KNOWN_S: Final = 5.0
_LOOK_S: Final = 0.2


class NotAllowed(HeliographError):
    """The bus does not let the question through."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered.

    Attributes:
        tunnels: By node, in order; of each node that answered wholly.
        missing: Nodes whose agents have spoken on the bus before, and did not answer; in order.
    """

    tunnels: Mapping[str, tuple[Tunnel, ...]]
    missing: tuple[str, ...]


class Collected:
    """The parts that came. Pure."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, TunnelsTold]] = {}

    def put(self, told: TunnelsTold) -> None:
        """Take one part; parts of different lengths of an answer are of different answers."""
        parts = self._parts.setdefault(told.node, {})
        if any(other.parts != told.parts for other in parts.values()):
            parts.clear()
        parts[told.part] = told

    def whole(self) -> dict[str, tuple[Tunnel, ...]]:
        """Return the tunnels of each node that answered wholly, in the order of their names."""
        found = {}
        for node, parts in sorted(self._parts.items()):
            if len(parts) == next(iter(parts.values())).parts:
                found[node] = tuple(t for number in sorted(parts) for t in parts[number].tunnels)
        return found


async def ask_tunnels(
    connection: Connection, cluster: ClusterId, *, node: str | None = None, within_s: float
) -> Told:
    """Return what the agents of a cluster answer.

    Args:
        connection: The cluster's bus.
        cluster: Its id.
        node: Only this one is asked; None for all.
        within_s: How long to wait for those that are known and have not answered.

    Raises:
        NotAllowed: The bus refuses the question.
    """
    expected = await _expected(connection, cluster)
    collected, wanted = Collected(), expected if node is None else {node}

    def enough(payload: bytes) -> bool:
        with suppress(MalformedTunnels):
            collected.put(decode_told(payload))
        return bool(wanted) and wanted <= collected.whole().keys()

    asked = encode_tunnels(TunnelsAsked(node=node))
    try:
        await ask(connection, tunnels_subject(cluster), asked, enough=enough, within_s=within_s)
    except PermissionDenied as error:
        if error.subject != tunnels_subject(cluster):
            raise
        raise NotAllowed(
            f"the bus does not let cluster {cluster} publish to {tunnels_subject(cluster)}, so its "
            f"agents cannot be asked; add that to the cluster's entry in users.conf"
        ) from error
    found = collected.whole()
    return Told(tunnels=found, missing=tuple(sorted(wanted - found.keys())))


async def _expected(connection: Connection, cluster: ClusterId) -> set[str]:
    """Return the nodes whose agents have stated something, as far as the stream can be read."""
    follower = LinkFollower(connection, cluster)
    async with alongside(follower.run()):
        with suppress(TimeoutError):
            async with asyncio.timeout(_KNOWN_S):
                await follower.known.wait()
        return set(follower.table.nodes())
