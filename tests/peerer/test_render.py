"""The object that is written: ours is marked, and what is not ours in it stays."""

from __future__ import annotations

from heliograph.kilo.peer import Peer
from heliograph.marks import MANAGED_BY_LABEL, MANAGER, SEGMENT_ANNOTATION, SOURCE_CLUSTER_LABEL
from services.peerer.own import exporting_of, segment_of
from services.peerer.render import changed_peer, marked, new_peer
from tests.support.peers import EAST, SOUTH, but, foreign, key, ours, spec

STANDING = ours("east.node.n1", "node:n1", spec(1))


def test_a_new_peer_has_our_marks() -> None:
    """Whose it is, and what it stands for."""
    made = new_peer("east.node.n1", EAST, "node:n1", spec(1))

    assert made.metadata.labels == {MANAGED_BY_LABEL: MANAGER, SOURCE_CLUSTER_LABEL: "east"}
    assert made.metadata.annotations == {SEGMENT_ANNOTATION: "node:n1"}
    assert (made.metadata.name, made.spec) == ("east.node.n1", spec(1))
    assert (exporting_of(made), segment_of(made)) == (EAST, "node:n1")


def test_what_is_right_is_not_written() -> None:
    """The very same object tells that there is nothing to do."""
    assert changed_peer(STANDING, EAST, "node:n1", spec(1)) is STANDING


def test_labels_and_annotations_of_others_stay() -> None:
    """People may mark our Peers for purposes of their own; our own marks are put right."""
    metadata = but(
        STANDING.metadata,
        labels={**STANDING.metadata.labels, "team": "net", SOURCE_CLUSTER_LABEL: "elsewhere"},
        annotations={"note": "see #7", SEGMENT_ANNOTATION: "node:other"},
    )
    wanted = changed_peer(but(STANDING, metadata=metadata), EAST, "node:n1", spec(1))

    assert wanted.metadata.labels == {**STANDING.metadata.labels, "team": "net"}
    assert wanted.metadata.annotations == {"note": "see #7", SEGMENT_ANNOTATION: "node:n1"}
    assert wanted.metadata.resource_version == STANDING.metadata.resource_version


def test_a_preshared_key_stays() -> None:
    """Both ends of a tunnel have agreed upon it; no cluster announces one."""
    with_key = but(STANDING, spec=but(spec(1), preshared_key=key(9)))

    assert changed_peer(with_key, EAST, "node:n1", spec(1)) is with_key
    moved = changed_peer(with_key, EAST, "node:n1", spec(1, endpoint="203.0.113.5"))
    assert moved.spec == but(spec(1, endpoint="203.0.113.5"), preshared_key=key(9))


def test_a_peer_without_marks_says_nothing() -> None:
    """Of such a one neither cluster nor segment is known."""
    made: Peer = foreign("laptop", key(9), "10.99.0.1/32")

    assert (exporting_of(made), segment_of(made)) == ("", "")
    assert exporting_of(marked(made, SOUTH, "node:n1")) == SOUTH
