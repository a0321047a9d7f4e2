"""Nodes that wait for the lease that declares their ranges."""

from __future__ import annotations

from heliograph.announce.announcer import Origin
from services.watcher.held import HeldNodes
from services.watcher.table import NodeName

N1, N2 = NodeName("n1"), NodeName("n2")
EARLY, LATE = Origin(seen_at_ns=1), Origin(seen_at_ns=2)


def test_nothing_waits_while_the_ranges_stay() -> None:
    """A change of a node that needs no other ranges goes at once."""
    held = HeldNodes()
    assert not held.hold(N1, EARLY)
    assert len(held) == 0


def test_what_waits_goes_with_the_lease_for_its_first_reason() -> None:
    """Two nodes wait for one lease; one that changes twice counts from its first change on."""
    held = HeldNodes()
    held.change()
    assert held.hold(N1, EARLY)
    assert held.hold(N1, LATE)
    assert held.hold(N2, LATE)
    assert held.declared(held.changes) == {N1: EARLY, N2: LATE}
    assert len(held) == 0
    assert not held.hold(N1, LATE)


def test_a_lease_from_before_the_last_change_frees_nobody() -> None:
    """The ranges change again while a lease is on its way: it does not declare them."""
    held = HeldNodes()
    held.change()
    on_its_way = held.changes
    held.change()
    held.hold(N1, EARLY)
    assert held.declared(on_its_way) == {}
    assert held.declared(held.changes) == {N1: EARLY}
