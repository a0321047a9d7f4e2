"""What Peers of others leave of ours: theirs were there first."""

from __future__ import annotations

import pytest

from heliograph.kilo.peer import Peer
from services.peerer.desired import desire_peers
from services.peerer.obstacles import Passable, pass_foreign
from tests.support.peers import HERE, foreign, here, key, neighbour, nodes

P1 = ("10.1.1.0/24", "172.16.1.1/32", "10.201.0.1/32")
P2 = ("10.1.2.0/24", "172.16.1.2/32", "10.201.0.2/32")
SERVICES = "10.101.0.0/16"
LAPTOP = key(99)


def passing(*others: Peer) -> Passable:
    """Return what of two nodes of cluster east can be set beside Peers of others."""
    east = neighbour(nodes(2))
    return pass_foreign(desire_peers(east, here(east)), others, HERE)


def but_for(*cidrs: str) -> dict[str, tuple[str, ...]]:
    """Return the allowed IPs of both nodes without some ranges."""
    whole = {"node:n1": P1, "node:n2": P2}
    left = {segment: tuple(c for c in p if c not in cidrs) for segment, p in whole.items()}
    return {segment: allowed for segment, allowed in left.items() if allowed}


CASES = {
    # what the foreign Peer has              what it takes from us              and for Services
    "a laptop's address":   (("10.99.0.5/32",),     (),                              False),
    "nothing readable":     (("here", "10.1.1.0/"), (),                              False),
    "pods of n1":           (("10.1.1.0/24",),      ("10.1.1.0/24",),                False),
    "one pod of n1":        (("10.1.1.7/32",),      ("10.1.1.0/24",),                False),
    "host bits":            (("10.1.1.7/24",),      ("10.1.1.0/24",),                False),
    "a mask of dots":       (("10.1.1.0/255.255.255.0",), ("10.1.1.0/24",),          False),
    "all pods":             (("10.1.0.0/16",),      ("10.1.1.0/24", "10.1.2.0/24"),  False),
    "addresses of nodes":   (("172.16.0.0/12",),    (P1[1], P2[1]),                  False),
    "a tunnel's address":   (("10.201.0.2/32",),    ("10.201.0.2/32",),              False),
    "Services":             (("10.101.0.0/16",),    (),                              True),
    "one Service":          (("10.101.0.1/32",),    (),                              True),
    "all of n1":            (P1,                    P1,                              False),
    "another family":       (("fd00::/8", "::/0"),  (),                              False),
    "everything":           (("0.0.0.0/0",),        (*P1, *P2),                      True),
}  # fmt: skip


@pytest.mark.parametrize(("allowed", "taken", "services"), CASES.values(), ids=CASES)
def test_a_foreign_peers_ranges_are_not_ours(
    allowed: tuple[str, ...], taken: tuple[str, ...], *, services: bool
) -> None:
    """Each range that it touches is left out and named; without any, there is no Peer."""
    found = passing(foreign("byhand", LAPTOP, *allowed))

    specs = {segment: peer.spec.allowed_ips for segment, peer in found.peers.items()}
    assert specs == but_for(*taken)
    assert found.shared == (() if services else (SERVICES,))
    refused = [*taken, *((SERVICES,) if services else ())]
    assert [refusal.message.partition(" ")[0] for refusal in found.refusals] == refused
    for refusal in found.refusals:
        assert (refusal.kind, refusal.name, refusal.reason) == ("peer", "byhand", "RangeTaken")
        assert "of cluster east is not routed from cluster here" in refusal.message
    assert found.standing == frozenset()


def test_a_peer_made_by_hand_for_a_node_is_not_doubled() -> None:
    """It is reported as what it is; its own ranges, the Services' too, are nobody else's."""
    found = passing(foreign("n1", key(1), *P1, SERVICES))

    assert (set(found.peers), found.standing) == ({"node:n2"}, {"node:n1"})
    assert found.shared == ()
    (refusal,) = found.refusals
    assert (refusal.kind, refusal.name, refusal.reason) == ("peer", "n1", "ForeignPeer")
    assert "Peer n1 in cluster here" in refusal.message
    assert "of node n1 of cluster east" in refusal.message


def test_a_peer_made_by_hand_without_services_leaves_them_to_others() -> None:
    """The documented recipe gives them to each Peer; not everybody follows it."""
    found = passing(foreign("n1", key(1), *P1))

    assert found.shared == (SERVICES,)


@pytest.mark.parametrize("spelt", [key(1) + "\n", key(1)[:-2] + "F="])
def test_a_key_is_known_in_every_spelling(spelt: str) -> None:
    """Kilo takes the text for the same key, so a second Peer would break it."""
    found = passing(foreign("n1", spelt, *P1))

    assert found.standing == {"node:n1"}


def test_a_key_that_is_none_is_nobodys() -> None:
    """Kilo ignores such a Peer; its ranges count nonetheless."""
    found = passing(foreign("n1", "no key", "10.1.1.0/24"))

    assert (found.standing, [one.reason for one in found.refusals]) == (frozenset(), ["RangeTaken"])


def test_the_first_of_several_is_named() -> None:
    """One refusal for each range, however many have it."""
    found = passing(foreign("a", LAPTOP, "10.1.1.4/32"), foreign("b", LAPTOP, "10.1.1.0/24"))

    assert [(one.name, one.reason) for one in found.refusals] == [("a", "RangeTaken")]
