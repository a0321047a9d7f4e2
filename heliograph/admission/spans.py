"""Sets of IP addresses as spans of numbers: quick to compare, to add and to take away. Pure.

What others declare comes from outside: a text that is no range stands for no address.
"""

from __future__ import annotations

import functools
import ipaddress
import operator
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from heliograph.ranges import split_plain

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Span = tuple[int, int]
"""First and last address as numbers; those of IPv6 are moved up by 2**128, out of IPv4's way."""

Spans = tuple[Span, ...]
"""In order, without a shared address, and neighbours are joined: equal sets are equal tuples."""

IPV6: Final = 1 << 128
_FEW: Final = 8
_TEXTS_KEPT: Final = 65536  # a few for each node of the largest ClusterSets
_first: Final = operator.itemgetter(0)


def network_of(cidr: str) -> Network | None:
    """Return the range that a text is, whatever its host bits are; None if it is none."""
    try:
        return ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return None


def span_of(network: Network) -> Span:
    """Return the addresses of a range."""
    start = int(network.network_address) + (IPV6 if network.version == 6 else 0)  # noqa: PLR2004
    return start, start + network.num_addresses - 1


@functools.lru_cache(maxsize=_TEXTS_KEPT)
def span_of_text(cidr: str) -> Span:
    """Return the addresses of a range that can be read, parsed once.

    Raises:
        ValueError: It is none.
    """
    return _plain_span(cidr) or span_of(ipaddress.ip_network(cidr, strict=False))


def _plain_span(cidr: str) -> Span | None:
    """Return the addresses of a range in its plain form, or of one address, quickly; else None."""
    plain = split_plain(cidr if "/" in cidr else f"{cidr}/{128 if ':' in cidr else 32}")
    if plain is None:
        return None
    raw, length = plain
    host_mask = (1 << (len(raw) * 8 - length)) - 1
    last = int.from_bytes(raw, "big") | host_mask
    offset = IPV6 if ":" in cidr else 0
    return (last ^ host_mask) + offset, last + offset


@functools.lru_cache(maxsize=1024)
def spans_of(cidrs: tuple[str, ...]) -> Spans:
    """Return the addresses of all ranges that can be read."""
    networks = map(network_of, cidrs)
    return joined(span_of(network) for network in networks if network is not None)


def joined(spans: Iterable[Span]) -> Spans:
    """Return the addresses of all spans, which may be in any order and overlap."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def without(spans: Spans, taken: Spans) -> Spans:
    """Return the addresses of `spans` that are not in `taken`."""
    return tuple(piece for span in spans for piece in _cut(span, taken))


def meet(spans: Spans, others: Spans) -> bool:
    """Tell whether any address is in both."""
    few, many = sorted((spans, others), key=len)
    return any(touches(many, span) for span in few)


def touches(spans: Spans, span: Span) -> bool:
    """Tell whether any address of one span is in the set."""
    at = bisect_right(spans, span[1], key=_first)
    return at > 0 and spans[at - 1][1] >= span[0]


def contains(spans: Spans, span: Span) -> bool:
    """Tell whether every address of one span is in the set."""
    at = bisect_right(spans, span[0], key=_first)
    return at > 0 and spans[at - 1][1] >= span[1]


def covers(spans: Spans, inner: Spans) -> bool:
    """Tell whether every address of `inner` is in `spans`."""
    return spans == inner or joined((*spans, *inner)) == spans


def holds(spans: Spans, address: int) -> bool:
    """Tell whether one address is in the set."""
    if len(spans) > _FEW:
        return touches(spans, (address, address))
    for first, last in spans:  # noqa: SIM110 - twice as quick, and asked for each address
        if first <= address <= last:
            return True
    return False


def cidrs_of(spans: Spans) -> tuple[str, ...]:
    """Return the fewest ranges that are these addresses, canonical, IPv4 first."""
    return tuple(str(network) for span in spans for network in _networks(span))


def _cut(span: Span, taken: Spans) -> Iterator[Span]:
    first, last = span
    at = max(0, bisect_right(taken, first, key=_first) - 1)
    while at < len(taken) and taken[at][0] <= last:
        if first < taken[at][0]:
            yield first, taken[at][0] - 1
        first = max(first, taken[at][1] + 1)
        at += 1
    if first <= last:
        yield first, last


def _networks(span: Span) -> Iterator[Network]:
    first, last = span
    if first < IPV6:
        v4 = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
        return ipaddress.summarize_address_range(*v4)
    v6 = ipaddress.IPv6Address(first - IPV6), ipaddress.IPv6Address(last - IPV6)
    return ipaddress.summarize_address_range(*v6)
