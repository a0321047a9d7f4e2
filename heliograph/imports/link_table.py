"""What the agents of one cluster see of their tunnels, folded from their messages. Pure.

Each node's agent is a publisher of its own, with epochs of its own: that one of them started anew
says nothing of what the others stated. An agent repeats itself, so one that is not heard of any
more is gone, and what it saw last counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from heliograph.contract.messages import LinkStated
from heliograph.contract.names import ClusterId
from heliograph.imports.heard import Heard

Path = Literal["answering", "silent", "unknown"]
"""Whether packets reach a cluster: some node of it answers some of ours, none does, nobody says."""

FRESH_S: Final = 90.0
"""How long a statement counts: three times as long as an agent takes to repeat it."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What one node's agent stated last, and when that was heard."""

    stated: LinkStated
    heard: Heard


class LinkTable:
    """The statements of one cluster's agents, by node."""

    def __init__(self) -> None:
        self._statements: dict[str, Statement] = {}
        self._unconfirmed: set[str] = set()

    def path(self, exporting: ClusterId, now_s: float) -> Path:
        """Return whether packets reach a cluster, by all that was stated lately.

        It is silent only if somebody says that nodes of it do not answer, and nobody that any does.
        """
        fresh = (s.stated for s in self._statements.values() if now_s < _expires_s(s))
        paths = {_paths(stated).get(exporting, "unknown") for stated in fresh}
        if "answering" in paths:
            return "answering"
        return "silent" if "silent" in paths else "unknown"

    def next_expiry_s(self, now_s: float) -> float | None:
        """Return when the next statement stops to count; None if none does that still counts."""
        expiries = map(_expires_s, self._statements.values())
        return min((at_s for at_s in expiries if at_s > now_s), default=None)

    def nodes(self) -> Mapping[str, Statement]:
        """Return the last statement of each node, however old."""
        return self._statements

    def heard_of(self, now_s: float) -> set[str]:
        """Return the nodes whose agents stated something lately."""
        return {node for node, one in self._statements.items() if now_s < _expires_s(one)}

    def begin_replay(self) -> None:
        """A replay of all statements begins: what it does not bring is gone."""
        self._unconfirmed = set(self._statements)

    def end_replay(self) -> set[str]:
        """The replay is over; return the clusters about which something is not stated any more."""
        gone, self._unconfirmed = self._unconfirmed, set()
        return {exporting for node in gone for exporting in self.drop(node)}

    def put(self, node: str, stated: LinkStated, heard: Heard) -> set[str]:
        """Take what a node's agent states.

        Args:
            node: The node.
            stated: What its agent states.
            heard: When it came. The same message again, as a replay brings it, is no sign of life.

        Returns:
            The clusters to which the path may be another now than it was before.
        """
        self._unconfirmed.discard(node)
        before = self._statements.get(node)
        if before is not None and before.heard.stored_at_ns == heard.stored_at_ns:
            heard = before.heard
        self._statements[node] = Statement(stated=stated, heard=heard)
        counted = before is not None and heard.at_s < _expires_s(before)
        earlier = _paths(before.stated) if before is not None and counted else {}
        later = _paths(stated)
        known = earlier.keys() | later.keys()
        return {exporting for exporting in known if earlier.get(exporting) != later.get(exporting)}

    def keep(self, node: str) -> None:
        """Take a message that this version cannot read: what was stated before stands, and ages."""
        self._unconfirmed.discard(node)

    def drop(self, node: str) -> set[str]:
        """Take that a node has no tunnels any more; return the clusters that it spoke of."""
        self._unconfirmed.discard(node)
        before = self._statements.pop(node, None)
        return set() if before is None else set(_paths(before.stated))


def _expires_s(statement: Statement) -> float:
    return statement.heard.at_s + FRESH_S


def _paths(stated: LinkStated) -> dict[str, Path]:
    """Return what one node sees of each cluster; one of whose nodes it says nothing is left out."""
    answering = {link.exporting for link in stated.links if link.answering > 0}
    silent = {link.exporting for link in stated.links if link.silent}
    return {**dict.fromkeys(silent, "silent"), **dict.fromkeys(answering, "answering")}
