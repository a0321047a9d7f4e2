"""The links between the clusters' nodes: who has the claim, whether the tunnel answers. Pure."""

from __future__ import annotations

from heliograph.contract.messages import ClusterAnnounced
from heliograph.explain.agent_way import agent_links
from heliograph.explain.facts import API, PEERS, Facts
from heliograph.explain.importing import addresses
from heliograph.explain.kilo_way import kilo_links
from heliograph.explain.link import Link, not_concerned, unknown
from heliograph.explain.ways import peering_refusal


def crossing_links(facts: Facts) -> tuple[Link, Link]:
    """Return the claim and the tunnel."""
    wanted = addresses(facts)
    if API in facts.importing.unread:
        why = facts.importing.unread[API]
        return unknown("claim", why), unknown("tunnel", why)
    if not wanted:
        why = "the mirror points at no address"
        return not_concerned("claim", why), not_concerned("tunnel", why)
    if facts.tunnels is not None:
        return agent_links(facts, facts.tunnels, wanted)
    if PEERS in facts.importing.unread:
        why = facts.importing.unread[PEERS]
        return unknown("claim", why), unknown("tunnel", why)
    if facts.stated.fault and not facts.importing.peers:
        why = f"how cluster {facts.importing.cluster} peers is not known: {facts.stated.fault}"
        return unknown("claim", why), unknown("tunnel", why)
    if facts.importing.peers is None or _peers_by_nobody(facts):
        return _no_tunnels(facts)
    return kilo_links(facts, facts.importing.peers, wanted)


def _peers_by_nobody(facts: Facts) -> bool:
    announced = facts.stated.announced
    says_none = isinstance(announced, ClusterAnnounced) and announced.peering == "none"
    return says_none and not facts.importing.peers


def _no_tunnels(facts: Facts) -> tuple[Link, Link]:
    here = facts.importing.cluster
    stated = peering_refusal(facts)
    if stated is not None:
        return stated, not_concerned("tunnel", "there is none")
    why = f"neither Kilo nor agents of Heliograph make tunnels in cluster {here}"
    return not_concerned("claim", why), not_concerned("tunnel", why)
