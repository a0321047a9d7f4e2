"""Who of several peers that offer a range gets it. Pure.

A claim stays with a healthy holder. Rendezvous hashing picks only for new and orphaned claims, so
that importing clusters spread over an exporting one's nodes, and nothing moves without need.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that offers the range.

    Attributes:
        segment: Which one, in its cluster.
        healthy: Whether its node was heard lately.
        holds: The ranges that it has been given.
    """

    segment: str
    healthy: bool
    holds: AbstractSet[str]


def resolve_claims(
    ranges: Iterable[str], candidates: Iterable[Candidate], importing: str
) -> Mapping[str, str]:
    """Return the segment that gets each range; without candidates nobody does.

    While nobody is healthy a claim stays where it is: a range without holder helps nobody.
    """
    offered = tuple(candidates)
    healthy = tuple(one for one in offered if one.healthy) or offered
    return {cidr: _holder(cidr, healthy, importing).segment for cidr in ranges if healthy}


def _holder(cidr: str, candidates: tuple[Candidate, ...], importing: str) -> Candidate:
    holding = tuple(one for one in candidates if cidr in one.holds)
    return max(holding or candidates, key=lambda one: _weight(importing, cidr, one.segment))


def _weight(importing: str, cidr: str, segment: str) -> tuple[bytes, str]:
    text = f"{importing}\0{cidr}\0{segment}".encode()
    return hashlib.blake2b(text, digest_size=8).digest(), segment
