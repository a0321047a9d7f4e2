"""Which nodes offer themselves as WireGuard peers: annotations, and the passing of time.

Pure: the time enters as an argument. Formats and rules are those of Kilo 0.7 (its `kg` agent), and
of our own agent on nodes without Kilo.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo.facts import FRESH_S, heartbeat_s
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import Node
from heliograph.nodes import announced_of, said_of
from heliograph.ranges import canonical
from heliograph.wireguard.notation import endpoint_name
from services.watcher.counted import CountedRanges
from services.watcher.names import EndpointNames

Granularity = Literal["", "location", "full"]


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of a Node last; `announced` is None where it is not enough for a peer."""

    said: tuple[object, ...]
    pod_cidrs: tuple[str, ...]
    announced: NodeAnnounced | None


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is announced; without `endpoint_ip`, which belongs to its name."""

    announced: NodeAnnounced
    name: str | None
    """The DNS name of its endpoint."""
    until_s: float
    """When it stops being announced."""
    next_s: float
    """When time changes something next: it stops being ready, or being announced."""


class NodeTable:
    """The nodes that are announced now.

    A node is ready while its heartbeat is younger than Kilo's 60 seconds, and it stays announced,
    with its last good facts, for the grace time beyond them. So neither the rollout of Kilo's
    agent, which removes and restores its annotations, nor a late heartbeat looks like a node that
    left; the rollout does not even look like silence.

    Our own agent has no heartbeat, since those that peer with its node find out whether it answers,
    and takes its annotations away only when the node is to be no peer any more.
    """

    def __init__(self, *, grace_s: float, granularity: Granularity = "") -> None:
        """Begin empty; `granularity` stands for what the nodes say, unless it is empty."""
        self._grace_s, self._granularity = grace_s, granularity
        self._read: dict[str, _Read] = {}
        self._known: dict[str, _Known] = {}
        self._heard: dict[str, tuple[int, float]] = {}
        self._speechless: set[str] = set()
        self._earliest_s = math.inf
        self._pod_cidrs, self._tunnel_cidrs = CountedRanges(), CountedRanges()
        self._names = EndpointNames()

    def names(self) -> tuple[str, ...]:
        """Return the nodes that are announced."""
        return tuple(self._known)

    def announced(self, name: str) -> NodeAnnounced | None:
        """Return what is announced of the node."""
        known = self._known.get(name)
        if known is None:
            return None
        address = self._names.address(known.name)
        if address is None:
            return known.announced
        return msgspec.structs.replace(known.announced, endpoint_ip=address)

    def peering(self) -> Literal["none", "kilo", "wireguard"]:
        """Return how the announced nodes peer; by Kilo where some of them do."""
        found = {known.announced.peering for known in self._known.values()}
        return "kilo" if "kilo" in found else "wireguard" if found else "none"

    def pod_cidrs(self) -> tuple[str, ...]:
        """Return the pod ranges of all nodes, announced or not, with neighbours joined."""
        return self._pod_cidrs.joined()

    def tunnel_cidrs(self) -> tuple[str, ...]:
        """Return the ranges of the announced nodes' addresses in the tunnels, joined."""
        return self._tunnel_cidrs.joined()

    def changes_of_ranges(self) -> int:
        """Return how often any of these ranges came or went; quick, where joining them is not."""
        return self._pod_cidrs.changes + self._tunnel_cidrs.changes

    def hosts(self) -> tuple[str, ...]:
        """Return the DNS names among the endpoints."""
        return self._names.hosts()

    def answer(self, host: str, addresses: Iterable[str], *, now_s: float) -> set[str]:
        """Take what a name of `hosts` resolves to, nothing if it does not."""
        return self._names.answer(host, addresses, now_s=now_s)

    def list(self, nodes: Iterable[Node], *, now_s: float) -> set[str]:
        """Take a complete listing; return the names that it concerns."""
        listed = {node.metadata.name: node for node in nodes}
        gone = set(self._known) - set(listed)
        for name in (gone | set(self._read)) - set(listed):
            self.drop(name)
        for node in listed.values():
            self.put(node, now_s=now_s)
        return gone | set(listed)

    def put(self, node: Node, *, now_s: float) -> set[str]:
        """Take a new or changed node; a heartbeat that changes nothing concerns no name."""
        name, said_s = node.metadata.name, heartbeat_s(node)
        before, facts = self.announced(name), self._facts(node)
        if facts is not None and facts.peering == "wireguard":
            self._keep(name, facts, until_s=math.inf)
        elif facts is None or said_s is None:
            self._fall_speechless(name)
        else:
            self._speechless.discard(name)
            self._hear(name, facts, seen_s=self._seen_s(name, said_s, now_s), now_s=now_s)
        return {name} if self.announced(name) != before else set()

    def remember(self, name: str, announced: NodeAnnounced, *, now_s: float) -> None:
        """Keep, for the grace time, what an earlier incarnation announced of a node.

        Only of one that is there and says nothing now: the rollout of Kilo's agent goes on while
        the watcher starts. What is known here is newer. The address of its name stands for any
        node, until the name is resolved anew.
        """
        silent = name in self._speechless and name not in self._known
        if silent and announced.peering == "kilo":
            facts = self._with_granularity(msgspec.structs.replace(announced, endpoint_ip=None))
            self._keep(name, facts, until_s=now_s + self._grace_s)
        host = endpoint_name(announced.endpoint)
        self._names.remember(host, announced.endpoint_ip, now_s=now_s)

    def drop(self, name: str) -> set[str]:
        """Take the loss of a node."""
        read = self._read.pop(name, None)
        if read is not None:
            self._pod_cidrs.replace(read.pod_cidrs, ())
        self._heard.pop(name, None)
        self._speechless.discard(name)
        self._set(name, None)
        return {name}

    def expire(self, *, now_s: float) -> set[str]:
        """Let time pass: nodes stop being ready, and then being announced; return their names."""
        if now_s < self._earliest_s:
            return set()
        over = [(name, known) for name, known in self._known.items() if known.next_s <= now_s]
        for name, known in over:
            if known.until_s <= now_s:
                self._set(name, None)
            else:
                silent = msgspec.structs.replace(known.announced, ready=False)
                self._keep(name, silent, until_s=known.until_s)
        self._earliest_s = min((known.next_s for known in self._known.values()), default=math.inf)
        return {name for name, _ in over}

    def _facts(self, node: Node) -> NodeAnnounced | None:
        """Return what is told of a node that lives; read anew only if it says something new."""
        name, said = node.metadata.name, said_of(node)
        read = self._read.get(name)
        if read is None or read.said != said:
            announced, pod_cidrs = announced_of(node), pod_cidrs_of(node)
            self._pod_cidrs.replace(read.pod_cidrs if read else (), pod_cidrs)
            facts = self._with_granularity(announced) if announced else None
            read = self._read[name] = _Read(said=said, pod_cidrs=pod_cidrs, announced=facts)
        return read.announced

    def _with_granularity(self, announced: NodeAnnounced) -> NodeAnnounced:
        if not self._granularity:
            return announced
        return msgspec.structs.replace(announced, granularity=self._granularity)

    def _seen_s(self, name: str, said_s: int, now_s: float) -> float:
        """Return when a heartbeat was: by a clock ahead of ours, when it was heard first."""
        heard = self._heard.get(name)
        if heard is None or heard[0] != said_s:
            heard = self._heard[name] = said_s, min(said_s, now_s)
        return heard[1]

    def _hear(self, name: str, facts: NodeAnnounced, *, seen_s: float, now_s: float) -> None:
        """Take a heartbeat, which may be an old one that is seen again."""
        fresh_until_s = seen_s + FRESH_S
        until_s = fresh_until_s + self._grace_s
        if fresh_until_s > now_s:
            self._keep(name, facts, until_s=until_s, next_s=fresh_until_s)
        elif until_s > now_s:
            self._keep(name, msgspec.structs.replace(facts, ready=False), until_s=until_s)

    def _fall_speechless(self, name: str) -> None:
        """Leave what is known as it is, ready or not, for as long as it was to stay."""
        self._speechless.add(name)
        known = self._known.get(name)
        if known and known.announced.peering == "wireguard":
            self._set(name, None)
        elif known:
            self._keep(name, known.announced, until_s=known.until_s)

    def _keep(
        self, name: str, facts: NodeAnnounced, *, until_s: float, next_s: float | None = None
    ) -> None:
        before = self._known.get(name)
        same = before is not None and before.announced is facts
        known = _Known(
            announced=facts,
            name=before.name if before and same else endpoint_name(facts.endpoint),
            until_s=until_s,
            next_s=until_s if next_s is None else next_s,
        )
        self._earliest_s = min(self._earliest_s, known.next_s)
        self._set(name, known)

    def _set(self, name: str, known: _Known | None) -> None:
        """Announce a node so, or not at all; what depends on all nodes follows."""
        before = self._known.get(name)
        if known is None:
            self._known.pop(name, None)
        else:
            self._known[name] = known
        if before and known and before.announced is known.announced:
            return
        self._tunnel_cidrs.replace(_tunnel_cidrs(before), _tunnel_cidrs(known))
        self._names.replace(name, before.name if before else None, known.name if known else None)


def _tunnel_cidrs(known: _Known | None) -> tuple[str, ...]:
    cidr = canonical(known.announced.tunnel_ip) if known and known.announced.tunnel_ip else None
    return (cidr,) if cidr else ()
