"""What is known of the importing cluster's Peers, by whose they are and by their keys."""

from __future__ import annotations

from heliograph.marks import MANAGED_BY_LABEL, MANAGER
from services.peerer.own import EVERYBODY, OwnPeers
from tests.support.peers import EAST, SOUTH, but, foreign, key, ours, spec

EAST_N1 = ours("east.node.n1", "node:n1", spec(1))
EAST_N2 = ours("east.node.n2", "node:n2", spec(2))
SOUTH_N1 = ours("south.node.n1", "node:n1", spec(1, cluster=SOUTH), cluster=SOUTH)
LAPTOP = foreign("laptop", key(9), "10.99.0.1/32")


def own_of(*peers: object) -> OwnPeers:
    """Return what is known after a listing."""
    own = OwnPeers()
    own.list(peers)  # type: ignore[arg-type]
    return own


def test_a_listing_touches_whoever_has_peers() -> None:
    """And everybody, as a foreign Peer may have come or gone."""
    own = OwnPeers()
    assert own.list([EAST_N2, EAST_N1, SOUTH_N1, LAPTOP]) == {EVERYBODY, EAST, SOUTH}

    assert list(own.ours(EAST)) == ["east.node.n1", "east.node.n2"]
    assert dict(own.ours(SOUTH)) == {"south.node.n1": SOUTH_N1}
    assert list(own.foreign()) == [LAPTOP]
    assert (own.exporting(), len(own)) == ({EAST, SOUTH}, 3)
    assert own.list([SOUTH_N1]) == {EVERYBODY, EAST, SOUTH}
    assert (own.ours(EAST), list(own.foreign()), own.exporting()) == ({}, [], {SOUTH})


def test_a_peer_of_ours_touches_its_cluster() -> None:
    """When it comes, changes and goes."""
    own = own_of()

    assert own.put(EAST_N1) == {EAST}
    assert own.put(but(EAST_N1, spec=spec(7))) == {EAST}
    assert own.drop(EAST_N1) == {EAST}
    assert own.drop(EAST_N1) == set()
    assert (own.exporting(), len(own), own.knows("east.node.n1")) == (set(), 0, False)


def test_a_foreign_peer_touches_everybody() -> None:
    """Its ranges and its key may be in anybody's way."""
    own = own_of()

    assert own.put(LAPTOP) == {EVERYBODY}
    assert own.knows("laptop")
    assert own.put(LAPTOP) == {EVERYBODY}
    assert own.drop(LAPTOP) == {EVERYBODY}


def test_a_copy_with_our_label_is_foreign() -> None:
    """Who wrote is kept by the API server, which copies do not carry over."""
    metadata = but(LAPTOP.metadata, labels={MANAGED_BY_LABEL: MANAGER})
    own = own_of(but(LAPTOP, metadata=metadata))

    assert len(list(own.foreign())) == 1


def test_a_peer_that_somebody_unmarks_is_theirs() -> None:
    """It touches the cluster whose it was, and everybody; the other way round, too."""
    own = own_of(EAST_N1)
    unmarked = but(EAST_N1, metadata=but(EAST_N1.metadata, labels={}))

    assert own.put(unmarked) == {EVERYBODY, EAST}
    assert (list(own.foreign()), own.ours(EAST)) == ([unmarked], {})
    assert own.elsewhere(key(1), SOUTH) is None
    assert own.put(EAST_N1) == {EVERYBODY, EAST}


def test_whose_peer_has_a_key() -> None:
    """Of another cluster, in whatever spelling; the first by name, if people made it several."""
    own = own_of(EAST_N1, EAST_N2, SOUTH_N1, LAPTOP)
    assert own.elsewhere(key(1), EAST) is None
    assert own.elsewhere(key(1), SOUTH) == EAST_N1
    assert own.elsewhere(key(9), SOUTH) is None

    spelt = but(EAST_N2, spec=but(spec(1), public_key=key(1)[:-2] + "F="))
    own.put(spelt)
    own.drop(EAST_N1)
    assert own.elsewhere(key(1), SOUTH) == spelt
    own.put(but(spelt, spec=but(spec(1), public_key="?")))
    assert own.elsewhere(key(1), SOUTH) is None
    assert own.elsewhere("?", SOUTH) is not None
    own.list([])
    assert own.elsewhere("?", SOUTH) is None
