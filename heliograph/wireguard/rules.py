"""The way back of what came through the tunnel: nftables rules and kernel settings. Pure.

A request for a Service of this cluster enters by our interface, and kube-proxy may hand it to a
pod on another node. That node would answer by its own tunnel, past the translation. So what came
in by our interface for the own Services leaves with an address of this node.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from heliograph.wireguard.endpoints import pack_range
from heliograph.wireguard.errors import TunnelError

TABLE: Final = "heliograph"
REMOVE: Final = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
"""Removes our table, also where there is none."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_DIGEST_CHARS: Final = 12


class _Rule(msgspec.Struct):
    handle: int = 0
    chain: str = ""
    comment: str = ""


class _Chain(msgspec.Struct):
    name: str = ""
    policy: str = ""


class _Listed(msgspec.Struct):
    rule: _Rule | None = None
    chain: _Chain | None = None


class _Listing(msgspec.Struct):
    nftables: list[_Listed]


_DECODER: Final = msgspec.json.Decoder(_Listing)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of the kernel that packets need.

    Attributes:
        key: As sysctl(8) writes it, a path: interfaces may have dots in their names.
        value: What it is set to.
        enough: Values that are left as they are.
        reason: Why, for the log.
    """

    key: str
    value: str
    enough: tuple[str, ...]
    reason: str


def ruleset(interface: str, service_cidrs: Sequence[str]) -> str:
    """Return our table for `nft -f -`, defined anew in one transaction.

    Every rule carries a digest of the whole, by which `stands` knows it again. In postrouting the
    interface where a packet came in is known since Linux 5.7 (commit 28f8bfd1ac94), so no mark of
    packets or connections is needed that others, kube-proxy among them, might use too.

    Args:
        interface: Ours.
        service_cidrs: Of the own cluster; none where nothing is to be translated.

    Raises:
        TunnelError: A name or a range that nft would take for something else.
    """
    body = _body(_checked(interface), service_cidrs)
    digest = hashlib.sha256(body.encode()).hexdigest()[:_DIGEST_CHARS]
    return REMOVE + body.replace("COMMENT", f'comment "{TABLE} {digest}"')


def _checked(interface: str) -> str:
    if not _NAME.fullmatch(interface):
        raise TunnelError(f"{interface!r} is no interface name that nftables rules can have")
    return interface


def _body(interface: str, service_cidrs: Sequence[str]) -> str:
    syn = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu COMMENT"
    return "\n".join(
        [
            f"table inet {TABLE} {{",
            *_sets(service_cidrs),
            "  chain postrouting {",
            "    type nat hook postrouting priority srcnat - 5; policy accept;",
            *_masquerade(interface, service_cidrs),
            "  }",
            "  chain forward {",
            "    type filter hook forward priority mangle; policy accept;",
            f'    iifname "{interface}" {syn}',
            f'    oifname "{interface}" {syn}',
            "  }",
            "}",
            "",
        ]
    )


def _sets(service_cidrs: Sequence[str]) -> Iterator[str]:
    for version, cidrs in _by_version(service_cidrs):
        yield f"  set services{version} {{"
        yield f"    type ipv{version}_addr; flags interval; auto-merge;"
        yield f"    elements = {{ {', '.join(cidrs)} }}"
        yield "  }"


def _masquerade(interface: str, service_cidrs: Sequence[str]) -> Iterator[str]:
    for version, _ in _by_version(service_cidrs):
        family = "ip" if version == 4 else "ip6"  # noqa: PLR2004 - IPv4
        yield (
            f'    iifname "{interface}" ct original {family} daddr @services{version} '
            "masquerade COMMENT"
        )


def _by_version(cidrs: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for version in (4, 6):
        found = sorted({cidr for cidr in cidrs if (":" in cidr) == (version == 6)})  # noqa: PLR2004 - IPv6
        for cidr in found:
            pack_range(cidr)
        if found:
            yield version, found


def stands(listing: bytes, wanted: str) -> bool:
    """Tell whether `nft -j list table inet heliograph` shows all rules of a ruleset, and no other.

    Raises:
        TunnelError: It is no listing.
    """
    comments = re.findall(r'comment "([^"]*)"', wanted)
    return sorted(rule.comment for rule in _rules(listing)) == sorted(comments)


def admit(listing: bytes, family: str, interface: str) -> str:
    """Return commands that let our packets pass the chain FORWARD, if it drops by policy.

    Docker sets that policy. What is of others in there stays, and comes after ours.

    Args:
        listing: Of `nft -j list chain FAMILY filter FORWARD`.
        family: "ip", or "ip6".
        interface: Ours.

    Returns:
        Commands for `nft -f -`; empty if nothing is to be done.
    """
    drops = any(item.chain and item.chain.policy == "drop" for item in _items(listing))
    wanted = [f"{TABLE} {way} {_checked(interface)}" for way in ("iifname", "oifname")]
    if not drops:
        return retract(listing, family)
    if sorted(_our_comments(listing)) == sorted(wanted):
        return ""
    commands = [
        f'insert rule {family} filter FORWARD {comment.split()[1]} "{interface}" '
        f'counter accept comment "{comment}"\n'
        for comment in wanted
    ]
    return retract(listing, family) + "".join(commands)


def retract(listing: bytes, family: str) -> str:
    """Return commands that take our rules out of the chain FORWARD; empty if there are none."""
    return "".join(
        f"delete rule {family} filter FORWARD handle {rule.handle}\n"
        for rule in _rules(listing)
        if rule.comment.split(" ")[0] == TABLE
    )


def _our_comments(listing: bytes) -> list[str]:
    comments = [rule.comment for rule in _rules(listing)]
    return [comment for comment in comments if comment.split(" ")[0] == TABLE]


def _rules(listing: bytes) -> list[_Rule]:
    return [item.rule for item in _items(listing) if item.rule is not None]


def _items(listing: bytes) -> list[_Listed]:
    try:
        return _DECODER.decode(listing).nftables
    except msgspec.DecodeError as exc:
        raise TunnelError(f"nft lists what cannot be read: {exc}") from exc


def settings(interface: str, cidrs: Sequence[str]) -> list[Setting]:
    """Return what the kernel must have so that packets of these ranges pass.

    Forwarding of IPv6 is asked for only where a range is of IPv6: a kernel that forwards no longer
    takes its own default route from router advertisements (accept_ra = 1).
    """
    return [
        *([_forwarding("net/ipv4/ip_forward")] if any(":" not in c for c in cidrs) else []),
        *([_forwarding("net/ipv6/conf/all/forwarding")] if any(":" in c for c in cidrs) else []),
        Setting(
            key=f"net/ipv4/conf/{_checked(interface)}/rp_filter",
            value="2",
            enough=("2",),
            reason="answers may leave by another interface than requests came in by",
        ),
    ]


def _forwarding(key: str) -> Setting:
    reason = "packets from the tunnel go on to pods"
    return Setting(key=key, value="1", enough=("1",), reason=reason)
