"""The DNS names among the endpoints of the nodes, and what they resolve to. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

import msgspec

KEPT_S: Final = 600.0
"""How long an address stands when its name does not resolve any more, seconds."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    at_s: float


class EndpointNames:
    """Names as long as any node has them, with one address each."""

    def __init__(self) -> None:
        self._nodes: dict[str, set[str]] = {}
        self._answers: dict[str, _Answer] = {}

    def hosts(self) -> tuple[str, ...]:
        """Return the names that nodes have."""
        return tuple(self._nodes)

    def address(self, host: str | None) -> str | None:
        """Return the address of a name; None if it is unknown."""
        answer = self._answers.get(host or "")
        return answer.address if answer else None

    def replace(self, node: str, before: str | None, after: str | None) -> None:
        """Take that a node has another name than it had, each None for none."""
        if before == after:
            return
        if after:
            self._nodes.setdefault(after, set()).add(node)
        if before:
            self._nodes[before].discard(node)
            if not self._nodes[before]:
                del self._nodes[before]
                self._answers.pop(before, None)

    def remember(self, host: str | None, address: str | None, *, now_s: float) -> None:
        """Take what an earlier incarnation knew of a name of which nothing is known yet."""
        if address and host in self._nodes and host not in self._answers:
            self._answers[host] = _Answer(address=address, at_s=now_s)

    def answer(self, host: str, addresses: Iterable[str], *, now_s: float) -> set[str]:
        """Take what a name resolves to, nothing if it does not; return the nodes concerned.

        Of several addresses the one that is known already stays, since servers answer in turns;
        else the lowest is taken, IPv4 before IPv6.
        """
        before, found = self.address(host), sorted(addresses, key=_order)
        if host not in self._nodes:
            return set()
        if found:
            address = before if before in found else found[0]
            self._answers[host] = _Answer(address=address, at_s=now_s)
        elif before and now_s - self._answers[host].at_s >= KEPT_S:
            del self._answers[host]
        return set(self._nodes[host]) if self.address(host) != before else set()


def _order(text: str) -> tuple[int, int]:
    address = ipaddress.ip_address(text)
    return address.version, int(address)
