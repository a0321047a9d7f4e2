"""Refusals in words: what, where, whose, what was done, what to do."""

from __future__ import annotations

from services.peerer.refusal import Where, foreign_peer, key_in_use, range_taken, rejected
from tests.support.peers import EAST, HERE, SOUTH

WHERE = Where(importing=HERE, exporting=EAST, node="n1")


def test_each_refusal_names_both_clusters_and_what_it_is_about() -> None:
    """Kind and name are those of the thing refused; an answer of the API server is passed on."""
    found = [
        WHERE.refuse("DuplicateKey", "a key", "Change it."),
        foreign_peer(WHERE, "byhand"),
        key_in_use(WHERE, "south.node.n1", SOUTH),
        range_taken(WHERE, "10.1.1.0/24", "byhand", "10.0.0.0/8"),
        rejected(WHERE, "east.node.n1", "denied by policy"),
    ]

    assert [(one.kind, one.name, one.reason) for one in found] == [
        ("node", "n1", "DuplicateKey"),
        ("peer", "byhand", "ForeignPeer"),
        ("peer", "south.node.n1", "KeyInUse"),
        ("peer", "byhand", "RangeTaken"),
        ("peer", "east.node.n1", "Rejected"),
    ]
    for one in found:
        assert one.exporting == EAST
        assert "cluster east" in one.message
        assert "cluster here" in one.message
    assert "(denied by policy)" in found[-1].message
