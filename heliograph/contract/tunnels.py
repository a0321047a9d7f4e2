"""What agents answer when somebody asks for their tunnels: asked and answered, never stored. Pure.

A request goes to all agents of one cluster at once, on `heliograph.tunnels.v1.<cluster>`; each of
those that it is meant for answers in one part or several, each far below what a bus carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeVar

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import VERSION
from heliograph.errors import TerminalError

T = TypeVar("T", bound=msgspec.Struct)

PART_TUNNELS: Final = 100
"""Most tunnels in one part: with 64 ranges each, that is about 200 KB."""

TunnelState = Literal["answering", "silent", "unknown", "roaming", "refused"]
"""Whether the node answers. Unknown: there was no time to tell; roaming: it has no endpoint and has
not called yet; refused: its cluster is refused, and nothing is tried."""


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """One tunnel, as the agent at its own end sees it.

    Attributes:
        exporting: Cluster at the other end.
        peer: Node at the other end.
        public_key: The key under which packets go there.
        state: Whether it answers.
        endpoint: "address:port" where packets go; None while that is not known.
        roams: Whether the other node announces no endpoint, and is found where it calls from.
        handshake_age_s: Seconds since the latest handshake; None if there was none.
        received_bytes: Since the peer stands.
        sent_bytes: Likewise.
        ranges: What goes through this tunnel, claims included; canonical, in order.
        claims: Those of them that several nodes there offer, and this one holds.
        next_public_key: The key that the other node is changing to; None while it is not.
    """

    exporting: str
    peer: str
    public_key: str
    state: TunnelState
    endpoint: str | None = None
    roams: bool = False
    handshake_age_s: float | None = None
    received_bytes: int = 0
    sent_bytes: int = 0
    ranges: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    next_public_key: str | None = None


class TunnelsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the agents of a cluster.

    Attributes:
        node: Only this node's agent answers; None for all.
    """

    node: str | None = None


class TunnelsTold(msgspec.Struct, frozen=True, kw_only=True):
    """One part of one agent's answer.

    Attributes:
        node: The agent's node.
        part: Which part this is, from 0.
        parts: How many there are.
        tunnels: In the order of cluster and node.
    """

    node: str
    part: int = 0
    parts: int = 1
    tunnels: tuple[Tunnel, ...] = ()


def tunnels_subject(cluster: ClusterId) -> str:
    """Return where the agents of a cluster are asked."""
    return f"heliograph.tunnels.{VERSION}.{cluster}"


def in_parts(node: str, tunnels: Sequence[Tunnel]) -> list[TunnelsTold]:
    """Return the answer of one agent; there is always one part."""
    starts = range(0, max(1, len(tunnels)), PART_TUNNELS)
    return [
        TunnelsTold(
            node=node,
            part=number,
            parts=len(starts),
            tunnels=tuple(tunnels[start : start + PART_TUNNELS]),
        )
        for number, start in enumerate(starts)
    ]


class MalformedTunnels(TerminalError):
    """A question about tunnels, or an answer, that this version cannot read."""


def encode_tunnels(message: TunnelsAsked | TunnelsTold) -> bytes:
    """Return what travels on the bus."""
    return msgspec.json.encode(message)


def decode_asked(payload: bytes) -> TunnelsAsked:
    """Return a question; no bytes ask everybody.

    Raises:
        MalformedTunnels: The bytes are none.
    """
    return _decode(payload or b"{}", TunnelsAsked)


def decode_told(payload: bytes) -> TunnelsTold:
    """Return one part of an answer.

    Raises:
        MalformedTunnels: The bytes are none.
    """
    return _decode(payload, TunnelsTold)


def _decode(payload: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedTunnels(f"{kind.__name__} cannot be read: {error}") from error
