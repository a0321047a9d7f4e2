"""Claim and tunnel where Kilo makes them: by its Peers, and by what nodes say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from heliograph.explain import refusals
from heliograph.explain.facts import Facts
from heliograph.explain.link import Link, broken, not_concerned, ok, refused, unknown
from heliograph.explain.ways import peering_refusal, shown, width_of
from heliograph.kilo.peer import Peer
from heliograph.marks import is_ours
from heliograph.wireguard.notation import parse_public_key
from services.peerer.own import exporting_of, segment_of

_NODE: Final = "node:"


def unclaimed(wanted: Iterable[str], peers: Iterable[Peer]) -> tuple[str, ...]:
    """Return the addresses that no Peer routes."""
    known = tuple(peers)
    return tuple(address for address in wanted if holder_of(address, known) is None)


def holder_of(address: str, peers: Iterable[Peer]) -> Peer | None:
    """Return the Peer that an address is routed to: the longest range wins, then the first name.

    Source: cryptokey routing, wg(8) under "allowed-ips"; of equal entries Kilo keeps that of the
    Peer whose name comes first.
    """
    fitting = [peer for peer in peers if width_of(peer.spec.allowed_ips, address) >= 0]
    fitting.sort(key=lambda peer: peer.metadata.name)
    return max(fitting, key=lambda p: width_of(p.spec.allowed_ips, address), default=None)


def leader_of(peer: Peer | None) -> str | None:
    """Return the node that a Peer of ours stands for, where its name tells."""
    if peer is None or not is_ours(peer) or not segment_of(peer).startswith(_NODE):
        return None
    return segment_of(peer).removeprefix(_NODE)


def kilo_links(facts: Facts, peers: tuple[Peer, ...], wanted: tuple[str, ...]) -> tuple[Link, Link]:
    """Return claim and tunnel for the addresses of a mirror."""
    there = facts.exporting.cluster
    missing = unclaimed(wanted, peers)
    if missing:
        return _not_claimed(facts, missing), not_concerned("tunnel", "nobody has the claim")
    holders = {address: holder_of(address, peers) for address in wanted}
    strange = {a: p for a, p in holders.items() if p and not is_ours(p)}
    if strange:
        return _foreign(facts, strange), unknown("tunnel", "it goes by a Peer that is not ours")
    elsewhere = {a: p for a, p in holders.items() if p and exporting_of(p) != there}
    if elsewhere:
        return _elsewhere(facts, elsewhere), not_concerned("tunnel", "it leads elsewhere")
    ours = {p.metadata.name: p for p in holders.values() if p}
    names = shown(sorted(ours))
    claim = ok("claim", f"{shown(wanted)} goes to Peer {names} of cluster {there}")
    return claim, _kilo_tunnel(facts, ours)


def _not_claimed(facts: Facts, missing: tuple[str, ...]) -> Link:
    stated = peering_refusal(facts)
    if stated is not None:
        return stated
    here, there = facts.importing.cluster, facts.exporting.cluster
    return broken(
        "claim",
        "NotClaimed",
        f"no Peer in cluster {here} has {shown(missing)}, so nothing goes to cluster {there}",
        f"see whether the peerer of cluster {here} runs and what it logs; 'heliograph plan peers "
        f"--from {there}=KUBECONFIG --to {here}=KUBECONFIG' shows what it would set",
    )


def _foreign(facts: Facts, strange: Mapping[str, Peer]) -> Link:
    """Judge that a Peer which people made has the address: perhaps it leads there."""
    address, peer = next(iter(strange.items()))
    name = peer.metadata.name
    about = [one for one in refusals.of_cluster(facts) if one.name == name]
    by_hand = next((one for one in about if one.reason == "ForeignPeer"), None)
    if by_hand is not None:
        what = f"{address} goes to Peer {name}, made by hand for cluster {by_hand.exporting}"
        return ok("claim", what, "ForeignPeer")
    for one in about:
        return refused("claim", one.reason, one.message)
    what = f"{address} goes to Peer {name}, which is not managed by us: who knows where it leads"
    return unknown("claim", what, "ForeignPeer")


def _elsewhere(facts: Facts, holders: Mapping[str, Peer]) -> Link:
    address, peer = next(iter(holders.items()))
    here, there = facts.importing.cluster, facts.exporting.cluster
    return broken(
        "claim",
        "ClaimElsewhere",
        f"{address} goes to Peer {peer.metadata.name} of cluster {exporting_of(peer)}, not of "
        f"{there}",
        f"see what the peerer of cluster {here} logs: the ranges of the two must not overlap "
        f"('heliograph check')",
    )


def _kilo_tunnel(facts: Facts, holders: Mapping[str, Peer]) -> Link:
    """Judge the tunnel by the node's own words: nobody tells handshakes of Kilo's."""
    for peer in holders.values():
        fault = _node_fault(facts, peer)
        if fault is not None:
            return fault
    here = facts.importing.cluster
    return unknown(
        "tunnel",
        f"Kilo makes it, and tells nobody whether it answers; on a node of {here}: "
        f"wg show kilo0 latest-handshakes",
    )


def _node_fault(facts: Facts, peer: Peer) -> Link | None:
    name, there = leader_of(peer), facts.exporting.cluster
    if name is None or facts.said.fault:
        return None
    node = facts.said.nodes.get(name)
    cure = f"see whether Kilo's agent runs on node {name} of cluster {there}"
    if node is None:
        what = f"node {name} of cluster {there} does not offer itself any more"
        return broken("tunnel", "NodeWithdrawn", what, cure)
    if not node.ready:
        what = f"node {name} of cluster {there}, which has the claim, is not heard of by Kilo"
        return broken("tunnel", "NodeSilent", what, cure)
    if parse_public_key(peer.spec.public_key) not in {node.public_key, node.next_public_key}:
        what = f"Peer {peer.metadata.name} has another key than node {name} of cluster {there}"
        here = facts.importing.cluster
        again = f"see whether the peerer of cluster {here} runs, and what it logs"
        return broken("tunnel", "KeyDiffers", what, again)
    return None
