"""Names of Peers: readable, allowed, and never of another cluster or another segment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.names import ClusterId, is_dns_subdomain
from services.peerer.names import peer_name
from tests.support.peers import EAST, SOUTH, WEST, key
from tests.support.strategies import LABELS

LONG = "n" * 253
PLAIN = {
    # segment                 name
    "node:n1":                "east.node.n1",
    "node:n1.example.com":    "east.node.n1.example.com",
    "location:eu-west":       "east.location.eu-west",
    "node:" + "n" * 243:      "east.node." + "n" * 243,
}  # fmt: skip


@pytest.mark.parametrize(("segment", "name"), PLAIN.items())
def test_a_segment_with_an_allowed_name_is_called_so(segment: str, name: str) -> None:
    """People find the node in the name of its Peer."""
    assert peer_name(EAST, segment) == name


HASHED = {
    # segment                 how the name begins, before the hash
    "location:":              "east.location.",
    "location:Rack 7":        "east.location.rack-7.",
    "location:a/b_c":         "east.location.a-b-c.",
    "location:--x--":         "east.location.x.",
    "location:a..b":          "east.location.a--b.",
    "location:a.:b":          "east.location.a--b.",
    "location:München":       "east.location.m-nchen.",
    "location:…":             "east.location.",
    "location:İ\n":           "east.location.i.",
    "location:" + "X." * 500: "east.location.x.x.",
    "node:" + LONG:           "east.node.nnn",
    "node:" + "n" * 244:      "east.node.nnn",
}  # fmt: skip


@pytest.mark.parametrize(("segment", "begins"), HASHED.items(), ids=range(len(HASHED)))
def test_what_no_name_can_hold_is_hashed(segment: str, begins: str) -> None:
    """What can be read of it stands before the hash, and the whole is a name."""
    name = peer_name(EAST, segment)

    assert name.startswith(begins)
    assert is_dns_subdomain(name)
    assert len(name.rpartition(".")[2]) == 16


def test_equal_node_names_in_three_clusters_are_three_names() -> None:
    """A cluster's id holds no dot, so no cluster has another one's names."""
    assert len({peer_name(cluster, "node:n1") for cluster in (EAST, SOUTH, WEST)}) == 3


def test_names_that_are_equal_when_shortened_differ() -> None:
    """The hash is that of the whole name."""
    names = {peer_name(EAST, f"node:{LONG[:-1]}{last}") for last in "abc"}

    assert len(names) == 3


def test_a_taken_name_gives_way_to_one_with_a_hash() -> None:
    """The same each time, and another one for another key."""
    first, again, other = (peer_name(EAST, "node:n1", key(n)) for n in (1, 1, 2))

    assert first == again != other
    assert first.startswith("east.node.n1.")


@given(
    cluster=LABELS.map(ClusterId),
    names=st.lists(st.text(max_size=400), min_size=2, max_size=2, unique=True),
    suffix=st.sampled_from(["", "key"]),
)
def test_every_name_is_allowed_and_its_segments_own(
    cluster: ClusterId, names: list[str], suffix: str
) -> None:
    """Locations are free text; two of them never share a name."""
    one, other = (peer_name(cluster, f"location:{name}", suffix) for name in names)

    assert is_dns_subdomain(one)
    assert one.startswith(f"{cluster}.location.")
    assert one != other
