"""Figures about tunnels of our own: announcements, changes among many peers. Pure."""

from __future__ import annotations

import msgspec

from heliograph.bench.figures import Compared


class ManyPeersMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured among many peers, in seconds.

    Attributes:
        first: From an interface without peers until all peers and routes stand, planning included.
        again: The same after somebody deleted the interface: what was read and judged is known.
        changes: One node has another endpoint: until its peer has it, planning included.
        written: How many peers were written for all these changes.
        floor_first: The same peers and routes by `wg addconf` and `ip -batch`.
        floor_changes: One write of one peer, without planning.
        peers: How many there were.
        routes: How many there were.
    """

    first: float
    again: float
    changes: tuple[float, ...]
    written: int
    floor_first: float
    floor_changes: tuple[float, ...]
    peers: int
    routes: int


class ManyPeers(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent needs among many peers.

    Attributes:
        first_s: First configuration, seconds; median of the rounds.
        again_s: The same after somebody deleted the interface.
        first_floor_s: The same by `wg addconf` and `ip -batch`.
        first_ratio: Ours divided by the floor's.
        again_ratio: Likewise.
        change: One change of one node, seconds.
        written_per_change: How many peers were written for each.
        peers: How many there were.
        routes: How many there were.
    """

    first_s: float
    again_s: float
    first_floor_s: float
    first_ratio: float
    again_ratio: float
    change: Compared
    written_per_change: float
    peers: int
    routes: int


class Announcements(msgspec.Struct, frozen=True, kw_only=True):
    """How long nodes need until they have a peer for a node that was just announced.

    Attributes:
        configured: Seconds from just before the Node was written, by node.
        above_floor_p50_ms: Ours less the floor's, at the median.
        nodes: How many configured it.
        samples: How many nodes were announced, on either side.
    """

    configured: Compared
    above_floor_p50_ms: float
    nodes: int
    samples: int


class TunnelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures about tunnels."""

    announcements: Announcements
    many: ManyPeers
