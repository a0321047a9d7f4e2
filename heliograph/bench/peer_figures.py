"""Figures about peers: changes of nodes, planning, memory, heartbeats. Pure."""

from __future__ import annotations

import msgspec

from heliograph.bench.figures import Compared, Heartbeats


class PeerChanges(msgspec.Struct, frozen=True, kw_only=True):
    """How long an idle pair of clusters needs until a node's Peer follows it.

    Attributes:
        changed: Another endpoint of a node.
        samples: How many changes, on either side.
        nodes: Among so many nodes, on either side.
    """

    changed: Compared
    samples: int
    nodes: int


class Planning(msgspec.Struct, frozen=True, kw_only=True):
    """What the peerer computes after one change of a node, in milliseconds of processor time.

    Planning waits for nothing, so this is also how long it takes where a core is free.

    Attributes:
        p50_ms: Median.
        max_ms: Longest.
        clusters: Exporting ones.
        nodes: In all of them.
        samples: Of the changes.
    """

    p50_ms: float
    max_ms: float
    clusters: int
    nodes: int
    samples: int


class PeererMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Resident memory of a peerer.

    Attributes:
        idle_bytes: With no other cluster.
        bytes: With all the nodes, each a Peer that was just written, and at rest.
        restarted_bytes: The same after a start over Peers that are as they should be.
        clusters: Exporting ones.
        nodes: In all of them.
    """

    idle_bytes: int
    bytes: int
    restarted_bytes: int
    clusters: int
    nodes: int


class Peers(msgspec.Struct, frozen=True, kw_only=True):
    """All figures about peers."""

    changes: PeerChanges
    planning: Planning
    memory: PeererMemory
    heartbeats: Heartbeats
