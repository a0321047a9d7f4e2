"""Which nodes offer themselves as WireGuard peers: Kilo's annotations, and the passing of time.

Pure: the time enters as an argument. Formats and rules are those of Kilo 0.7 (its `kg` agent).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo.facts import FRESH_S, node_facts, pod_cidrs_of
from heliograph.kube.objects import Node
from heliograph.ranges import join_ranges


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    announced: NodeAnnounced
    until_s: float


class NodeTable:
    """The nodes that are announced now.

    A node stays announced, with its last good facts, until its heartbeat is older than Kilo's 60
    seconds plus the grace time. So neither the rollout of Kilo's agent, which removes and restores
    its annotations, nor a late heartbeat looks like a node that left.
    """

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._known: dict[str, _Known] = {}
        self._pod_cidrs: dict[str, tuple[str, ...]] = {}
        self._joined: tuple[str, ...] | None = None
        self._speechless: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """Return the nodes that are announced."""
        return tuple(self._known)

    def announced(self, name: str) -> NodeAnnounced | None:
        """Return what is announced of the node."""
        known = self._known.get(name)
        return known.announced if known else None

    def pod_cidrs(self) -> tuple[str, ...]:
        """Return the pod ranges of all nodes, announced or not, with neighbours joined."""
        if self._joined is None:
            cidrs = (cidr for cidrs in self._pod_cidrs.values() for cidr in cidrs)
            self._joined = join_ranges(cidrs)
        return self._joined

    def list(self, nodes: Iterable[Node], *, now_s: float) -> set[str]:
        """Take a complete listing; return the names that it concerns."""
        listed = {node.metadata.name: node for node in nodes}
        gone = set(self._known) - set(listed)
        for name in (gone | self._speechless | set(self._pod_cidrs)) - set(listed):
            self.drop(name)
        for node in listed.values():
            self.put(node, now_s=now_s)
        return gone | set(listed)

    def put(self, node: Node, *, now_s: float) -> set[str]:
        """Take a new or changed node."""
        name = node.metadata.name
        self._put_cidrs(name, pod_cidrs_of(node))
        facts = node_facts(node)
        if facts is None:
            self._speechless.add(name)
            return {name}
        self._speechless.discard(name)
        seen_s = min(facts.last_seen_s, now_s)  # a clock ahead of ours counts as fresh
        until_s = seen_s + FRESH_S + self._grace_s
        if until_s > now_s:
            self._known[name] = _Known(announced=facts.announced, until_s=until_s)
        return {name}

    def remember(self, name: str, announced: NodeAnnounced, *, now_s: float) -> None:
        """Keep, for the grace time, what an earlier incarnation announced of a node.

        Only of one that is there and says nothing now: the rollout of Kilo's agent goes on while
        the watcher starts. What is known here is newer.
        """
        if name in self._speechless and name not in self._known:
            self._known[name] = _Known(announced=announced, until_s=now_s + self._grace_s)

    def drop(self, name: str) -> set[str]:
        """Take the loss of a node."""
        self._known.pop(name, None)
        self._speechless.discard(name)
        self._put_cidrs(name, ())
        return {name}

    def expire(self, *, now_s: float) -> set[str]:
        """Drop the nodes whose time is over; return their names."""
        over = {name for name, known in self._known.items() if known.until_s <= now_s}
        for name in over:
            del self._known[name]
        return over

    def _put_cidrs(self, name: str, cidrs: tuple[str, ...]) -> None:
        """Set the ranges of a node; heartbeats change none, so the joined ranges are kept."""
        if self._pod_cidrs.get(name, ()) == cidrs:
            return
        self._joined = None
        self._pod_cidrs[name] = cidrs
        if not cidrs:
            del self._pod_cidrs[name]
