"""What passes within moments is told to nobody; what stands is."""

from __future__ import annotations

import pytest

from heliograph.contract.names import ClusterId
from services.peerer.patience import PATIENCE_S, Patience
from services.peerer.refusal import Refusal
from tests.peerer.conftest import Peer
from tests.support.joined import eventually

EAST = ClusterId("east")


def refusal(node: str, reason: str) -> Refusal:
    """Return a refusal of a node."""
    return Refusal(exporting=EAST, kind="node", name=node, reason=reason, message=reason)


EARLY, TAKEN = refusal("n1", "RangeNotDeclared"), refusal("n2", "AddressTaken")


def test_a_refusal_that_may_pass_waits() -> None:
    """It is told when it still stands after some seconds; all others at once, in their order."""
    patience = Patience()
    first = patience.sort([EARLY, TAKEN], now_s=100)
    assert (first.told, first.waiting) == ((TAKEN,), (EARLY,))
    later = patience.sort([EARLY, TAKEN], now_s=100 + PATIENCE_S)
    assert (later.told, later.waiting) == ((EARLY, TAKEN), ())


def test_one_that_was_away_waits_anew() -> None:
    """What passed and comes again is another matter."""
    patience = Patience()
    patience.sort([EARLY], now_s=100)
    patience.sort([], now_s=101)
    assert patience.sort([EARLY], now_s=100 + PATIENCE_S).told == ()


@pytest.mark.nats
async def test_a_node_that_joins_is_refused_to_nobody(peer: Peer) -> None:
    """Its range is declared a moment after the node: no Event, no log line, no feedback."""
    async with peer("east", "west", start=False) as lab:
        lab.lab.watching["pod_cidrs"] = ()
        await lab.start("east", "west")
        for number in range(3, 9):
            lab.add_node("east", f"n{number}", number)
            await eventually(lambda name=f"east.node.n{number}": name in lab.peers("west"))  # type: ignore[misc]
        assert lab["west"].peerer.refused("east") == ()
        assert not lab["west"].events("RangeNotDeclared")
        assert not lab["east"].events("RangeNotDeclared")


@pytest.mark.nats
async def test_a_node_outside_of_its_clusters_ranges_is_told_of(peer: Peer) -> None:
    """Where the range does not come, people hear of it."""
    async with peer("east", "west") as lab:
        lab.add_node("east", "n3", 3, pod_cidr="10.99.0.0/24")
        await eventually(lambda: lab["west"].peerer.refused("east") == ("RangeNotDeclared",))
        await eventually(lambda: lab["east"].events("RangeNotDeclared"))
        assert "east.node.n3" not in lab.peers("west")
