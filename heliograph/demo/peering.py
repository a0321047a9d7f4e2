"""Peering: the nodes of east are Kilo's Peers in west, one of which has east's service range."""

from __future__ import annotations

from typing import Final

from heliograph.demo.cast import Member
from heliograph.demo.observe import Observer
from heliograph.demo.show import peers_table
from heliograph.demo.step import Step, View
from heliograph.kilo.facts import FRESH_S

SILENT_S: Final = FRESH_S
"""The last heartbeat is written as old as this, so that the demo does not have to wait."""


class Peering:
    """What becomes of Peers in west while the nodes of `east` come and go."""

    def __init__(self, east: Member, observer: Observer) -> None:
        self._east, self._observer = east, observer
        self._cidr = observer.holders.cidr
        self._silent, self._held_by, self._mark = "", "", 0

    def steps(self) -> tuple[Step, ...]:
        """Return the steps, in order."""
        return (
            Step(
                name="peer",
                done="Kilo runs on two nodes of east",
                expected="each is a Peer in west, and one of these also has east's service range, "
                f"{self._cidr}",
                do=lambda: self._east.kilo.add(*self._east.nodes[:2]),
                seen=lambda: self.complete() and len(self._observer.holders.now) == 1,
                view=self.view,
            ),
            Step(
                name="node-joins",
                done="a third node joins east",
                expected="it is a Peer in west; the service range stays where it is",
                do=self._join,
                seen=lambda: self.complete() and self._observer.holders.now == (self._held_by,),
                view=self.view,
            ),
            Step(
                name="node-falls-silent",
                done="the node whose Peer has the service range falls silent: its last "
                f"heartbeat is {SILENT_S} s old (the demo writes it so, and does not wait), and "
                "Kilo allows less",
                expected="another Peer is given the range before that one loses it; the watch "
                "shows no moment at which nobody has it",
                do=self._fall_silent,
                seen=self._moved,
                view=self._move_view,
            ),
            Step(
                name="node-leaves",
                done="the silent node is deleted from east",
                expected="its Peer is gone from west",
                do=lambda: self._east.kilo.remove(self._silent),
                seen=lambda: self.complete() and self._observer.holders.kept,
                view=self.view,
            ),
        )

    def complete(self) -> bool:
        """Tell whether the Peers in west are those of east's nodes, by their keys."""
        keys = [peer.spec.public_key for peer in self._observer.peers(self._east.name)]
        kilo = self._east.kilo
        return sorted(keys) == sorted(kilo.node(name).key for name in kilo.names)

    def view(self) -> View:
        """Return how to show the Peers."""
        peers = self._observer.peers(self._east.name)
        return View(command="get peers   # their specs as columns", tables=(peers_table(peers),))

    async def _join(self) -> None:
        self._held_by = self._holder()
        await self._east.kilo.add(self._east.nodes[2])

    async def _fall_silent(self) -> None:
        self._held_by, self._mark = self._holder(), self._observer.holders.mark()
        self._silent = self._node_of(self._held_by)
        await self._east.kilo.go_silent(self._silent, ago_s=SILENT_S)

    def _holder(self) -> str:
        return next(iter(self._observer.holders.now), "")

    def _node_of(self, peer_name: str) -> str:
        """Return the node whose key a Peer has; any, where an earlier step was not seen."""
        peers = self._observer.peers(self._east.name)
        keys = {peer.spec.public_key: peer.metadata.name for peer in peers}
        kilo = self._east.kilo
        found = (node for node in kilo.names if keys.get(kilo.node(node).key) == peer_name)
        return next(found, kilo.names[0])

    def _moved(self) -> bool:
        holders = self._observer.holders
        return len(holders.now) == 1 and holders.now != (self._held_by,) and holders.kept

    def _move_view(self) -> View:
        shown = self.view()
        held = (" + ".join(names) or "nobody" for names in self._observer.holders.since(self._mark))
        notes = (f"{self._cidr} was held by {', then '.join(held)}",)
        return View(command=shown.command, tables=shown.tables, notes=notes)
