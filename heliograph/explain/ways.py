"""What both ways between clusters have in common: ranges, and what the peerer refuses. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from heliograph.explain import refusals
from heliograph.explain.facts import Facts
from heliograph.explain.link import Link, refused
from heliograph.explain.spoken import SILENT
from heliograph.ranges import canonical

_SHOWN: Final = 3
_RANK: Final = ("cluster", "peer", "node")


def width_of(ranges: Iterable[str], address: str) -> int:
    """Return the prefix length of the narrowest range that has an address; -1 if none has it."""
    found = ipaddress.ip_address(address)
    known = filter(None, map(canonical, ranges))
    networks = map(ipaddress.ip_network, known)
    return max((n.prefixlen for n in networks if found in n), default=-1)


def peering_refusal(facts: Facts) -> Link | None:
    """Return the first refusal of the peerer, those of the whole cluster first."""
    found = (o for o in refusals.of_cluster(facts) if o.reason != SILENT and o.kind in _RANK)
    ranked = sorted(found, key=lambda one: _RANK.index(one.kind))
    return refused("claim", ranked[0].reason, ranked[0].message) if ranked else None


def shown(names: Iterable[str]) -> str:
    """Return the first few of several names, and how many more there are."""
    known = list(dict.fromkeys(names))
    more = len(known) - _SHOWN
    return ", ".join(known[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def in_brackets(nodes: Iterable[str]) -> str:
    """Return nodes as an addition to a sentence; empty if there are none."""
    known = shown(nodes)
    return f" (node {known})" if known else ""
