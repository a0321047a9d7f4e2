"""Claim and tunnel where Heliograph's own agents make them: by what they answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from heliograph.contract.tunnels import Tunnel
from heliograph.explain.facts import Facts, Tunnels
from heliograph.explain.link import Link, broken, not_concerned, ok, unknown
from heliograph.explain.ways import in_brackets, peering_refusal, shown, width_of


def agent_links(facts: Facts, tunnels: Tunnels, wanted: tuple[str, ...]) -> tuple[Link, Link]:
    """Return claim and tunnel for the addresses of a mirror."""
    here = facts.importing.cluster
    if tunnels.fault:
        return unknown("claim", tunnels.fault), unknown("tunnel", tunnels.fault)
    if not tunnels.told:
        why = f"no agent of cluster {here} answers{in_brackets(tunnels.missing)}"
        return unknown("claim", why), unknown("tunnel", why)
    found = {node: tuple(_ways(some, wanted)) for node, some in tunnels.told.items()}
    without = sorted(node for node, ways in found.items() if None in ways)
    if without:
        return _no_way(facts, without, wanted), not_concerned("tunnel", "nobody has the claim")
    ways = {node: tuple(way for way in some if way) for node, some in found.items()}
    wrong = [
        (node, way)
        for node, some in ways.items()
        for way in some
        if way.exporting != facts.exporting.cluster
    ]
    if wrong:
        return _wrong_way(facts, *wrong[0]), not_concerned("tunnel", "it leads elsewhere")
    peers = sorted({way.peer for some in ways.values() for way in some})
    claim = ok("claim", f"{shown(wanted)} goes to {shown(peers)} of {facts.exporting.cluster}")
    return claim, _answering(facts, tunnels, ways)


def _ways(tunnels: Iterable[Tunnel], wanted: Iterable[str]) -> Iterator[Tunnel | None]:
    """Yield the tunnel by which each address goes."""
    known = tuple(tunnels)
    for address in wanted:
        fitting = [one for one in known if width_of(one.ranges, address) >= 0]
        yield max(fitting, key=lambda one: width_of(one.ranges, address), default=None)


def _no_way(facts: Facts, nodes: list[str], wanted: tuple[str, ...]) -> Link:
    stated = peering_refusal(facts)
    if stated is not None:
        return stated
    here, there = facts.importing.cluster, facts.exporting.cluster
    return broken(
        "claim",
        "NotClaimed",
        f"node {shown(nodes)} of cluster {here} has no tunnel for {shown(wanted)}",
        f"'heliograph peers {there} --cluster {here}' shows the tunnels there; see what the agents "
        f"of {here} log, and whether nodes of {there} offer themselves (annotations "
        f"heliograph.io/public-key)",
    )


def _wrong_way(facts: Facts, node: str, way: Tunnel) -> Link:
    here, there = facts.importing.cluster, facts.exporting.cluster
    return broken(
        "claim",
        "ClaimElsewhere",
        f"on node {node} of cluster {here} it goes to node {way.peer} of cluster {way.exporting}, "
        f"not of {there}",
        "the ranges of the two must not overlap: 'heliograph check'",
    )


def _answering(facts: Facts, tunnels: Tunnels, ways: Mapping[str, tuple[Tunnel, ...]]) -> Link:
    here, there = facts.importing.cluster, facts.exporting.cluster
    by_state: dict[str, list[str]] = {}
    for node, some in ways.items():
        for way in some:
            by_state.setdefault(way.state, []).append(f"{node} to {way.peer}")
    if "silent" in by_state:
        return broken(
            "tunnel",
            "TunnelSilent",
            f"the tunnel from {shown(sorted(by_state['silent']))} of cluster {there} is silent",
            f"look at the network between {here} and {there} (UDP, WireGuard's port), and whether "
            f"the agents there run; 'heliograph peers {there} --cluster {here}' shows handshakes",
        )
    if "roaming" in by_state:
        return broken(
            "tunnel",
            "TunnelRoaming",
            f"the tunnel from {shown(sorted(by_state['roaming']))} of cluster {there} waits: that "
            f"node announces no endpoint and has not called yet",
            f"see whether cluster {there} imports from {here} and reaches its endpoints, or give "
            f"the node an endpoint",
        )
    if tunnels.missing or by_state.keys() - {"answering"}:
        rest = ", ".join(sorted(by_state.keys() - {"answering"}))
        why = in_brackets(tunnels.missing) or f" ({rest})"
        return unknown("tunnel", f"not every agent of cluster {here} tells yet{why}")
    return ok("tunnel", f"it answers, on {len(ways)} of {len(tunnels.told)} nodes of {here}")
