"""What the tunnels of a node should be: who holds what, when it moves, and what is never taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.wireguard.interface import Interface, Route
from services.peerer.wireguard.health import State
from tests.support.peers import EAST, HERE, SOUTH, key
from tests.support.tunnel_world import TunnelWorld, agents_node, agents_nodes
from tests.support.wireguard import some_key

EAST1, EAST2, EAST3 = (key(number) for number in (1, 2, 3))
SOUTH1 = key(1, SOUTH)
EAST_SERVICES, SOUTH_SERVICES = "10.101.0.0/16", "10.102.0.0/16"
STRANGER = some_key(77)


def world(count: int = 2) -> TunnelWorld:
    """Return a node whose peers stand: so many of east, and one of south."""
    made = TunnelWorld(EAST, SOUTH)
    made.announce(EAST, **agents_nodes(count))
    made.announce(SOUTH, **agents_nodes(1, SOUTH))
    made.settle()
    return made


def holder(made: TunnelWorld, cidr: str = EAST_SERVICES) -> str:
    """Return the key of the peer that has a range."""
    return made.device.holders[cidr]


def test_every_node_is_a_peer_and_one_has_the_services() -> None:
    """Each has its own pods and its tunnel address; the shared range is at exactly one."""
    made = world()
    own = {EAST1: {"10.1.1.0/24", "10.201.0.1/32"}, EAST2: {"10.1.2.0/24", "10.201.0.2/32"}}

    assert set(made.device.device().peers) == {EAST1, EAST2, SOUTH1}
    assert {k: made.ranges(k) - {EAST_SERVICES} for k in own} == own
    assert holder(made) in own
    assert holder(made, SOUTH_SERVICES) == SOUTH1
    assert made.wanted().certain
    assert made.settle() == []


def test_a_shared_claim_leaves_a_silent_peer_and_does_not_come_back() -> None:
    """It moves in one change to a peer that answers, and stays there when the first is back."""
    made = world()
    first, other = holder(made), ({EAST1, EAST2} - {holder(made)}).pop()
    made.pass_time(12, other, SOUTH1)
    assert made.settle() == []
    made.pass_time(3, other, SOUTH1)
    changes = made.settle()

    assert made.picture.health.state(first) is State.SILENT
    assert holder(made) == other
    assert {change.public_key for change in changes} == {other}
    made.pass_time(5, first, other, SOUTH1)
    assert made.settle() == []
    assert holder(made) == other


def test_while_all_are_silent_a_claim_stays_where_it_is() -> None:
    """A range without a holder helps nobody; the first that answers gets it."""
    made = world(3)
    first = holder(made)
    made.pass_time(20)
    made.settle()
    assert holder(made) == first

    other = next(k for k in (EAST1, EAST2, EAST3) if k != first)
    made.pass_time(1, other)
    made.settle()
    assert holder(made) == other


def test_a_silent_peer_is_sent_to_where_it_is_announced() -> None:
    """One that roamed is left where it was heard, as long as it answers."""
    made = world(1)
    made.device.roam(EAST1, "198.51.100.7:7")
    made.pass_time(20, EAST1, SOUTH1)
    assert made.settle() == []

    made.pass_time(20, SOUTH1)
    (change,) = made.settle()
    assert (change.public_key, change.endpoint) == (EAST1, "203.0.113.21:51820")  # type: ignore[union-attr]


def test_a_new_endpoint_is_set_though_the_peer_answers() -> None:
    """It is a fact that was announced; once it is set the peer may roam again."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, endpoint="203.0.113.99:7"))
    (change,) = made.settle()
    assert (change.public_key, change.endpoint) == (EAST1, "203.0.113.99:7")  # type: ignore[union-attr]

    made.device.roam(EAST1, "198.51.100.7:7")
    assert made.settle() == []


@pytest.mark.parametrize("endpoint", ["[2001:DB8::0:1]:51820", "[2001:db8::1]:051820"])
def test_an_endpoint_is_spelt_as_the_device_does(endpoint: str) -> None:
    """Else a silent peer would be written again and again."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, endpoint=endpoint))
    made.settle()
    assert made.device.device().peers[EAST1].endpoint == "[2001:db8::1]:51820"

    made.pass_time(20, SOUTH1)
    assert made.settle() == []


def test_a_node_without_endpoint_is_a_peer_that_roams() -> None:
    """It has its ranges, and whatever endpoint the kernel learns is left."""
    made = world(1)
    made.announce(EAST, n2=agents_node(2, endpoint=None))
    made.settle()
    assert made.device.device().peers[EAST2].endpoint is None

    made.device.roam(EAST2, "198.51.100.7:7")
    made.pass_time(20)
    made.settle()
    assert made.device.device().peers[EAST2].endpoint == "198.51.100.7:7"


NAMES = {
    # what the name resolves to   endpoint
    "nothing yet":     (None, None),
    "an address":      ("203.0.113.50", "203.0.113.50:51820"),
    "an IPv6 address": ("2001:db8::50", "[2001:db8::50]:51820"),
    "one of our pods": ("10.0.1.7", None),
    "this machine": ("127.0.1.1", None),
    "the metadata service": ("169.254.169.254", None),
    "its own pods":    ("10.1.1.7", None),
}  # fmt: skip


@pytest.mark.parametrize(("address", "endpoint"), NAMES.values(), ids=NAMES)
def test_a_name_is_reached_where_it_resolves(address: str | None, endpoint: str | None) -> None:
    """But never inside of a range that goes through the tunnels."""
    made = TunnelWorld(EAST)
    made.announce(EAST, n1=agents_node(1, endpoint="a.example:51820"))
    assert made.picture.hosts() == {"a.example"}
    if address:
        made.picture.resolved["a.example"] = address
    made.settle()

    assert made.device.device().peers[EAST1].endpoint == endpoint


def test_a_node_that_is_withdrawn_goes_with_its_ranges() -> None:
    """What it held for all its cluster is at another one before."""
    made = world()
    first, other = holder(made), ({EAST1, EAST2} - {holder(made)}).pop()
    made.withdraw(EAST, "n1" if first == EAST1 else "n2")
    made.settle()

    assert first not in made.device.device().peers
    assert holder(made) == other


def test_a_cluster_that_left_has_no_peers() -> None:
    """That is certain without its ranges; the others stay as they are."""
    made = world()
    made.leave(EAST)
    made.settle()

    assert made.wanted().certain
    assert set(made.device.device().peers) == {SOUTH1}


def test_while_a_cluster_of_the_record_is_not_heard_nothing_is_taken_away() -> None:
    """After a restart beside an unheard cluster its peers, their ranges and all routes stay."""
    made = world()
    before = dict(made.device.holders)
    routes = frozenset(Route(destination=cidr) for cidr in (*before, "10.9.0.0/24"))
    made.restart(unheard=(EAST,))

    assert not made.wanted().certain
    assert made.settle() == []
    assert made.device.holders == before
    standing = Interface(mtu=1420, up=True, routes=routes)
    interface = made.wanted().interface(standing, address="10.200.0.1/32", mtu=1420)
    assert {route.destination for route in interface.routes} == {r.destination for r in routes}

    made.hear(EAST)
    assert made.wanted().certain
    assert made.settle() == []
    interface = made.wanted().interface(standing, address="10.200.0.1/32", mtu=1420)
    assert {route.destination for route in interface.routes} == set(before)


def test_where_there_is_no_ipv6_its_ranges_have_no_routes() -> None:
    """The kernel would refuse them each time; peers have the ranges all the same."""
    made = world(1)
    made.declare(EAST, pod_cidrs=("10.1.0.0/16", "fd01::/48"))
    made.announce(EAST, n1=agents_node(1, pod_cidrs=("10.1.1.0/24", "fd01:0:0:1::/64")))
    made.settle()
    assert "fd01:0:0:1::/64" in made.ranges(EAST1)
    for ipv6 in (True, False):
        standing = Interface(mtu=1420, up=True, ipv6=ipv6)
        interface = made.wanted().interface(standing, address="10.200.0.1/32", mtu=1420)
        found = {route.destination for route in interface.routes}
        assert "10.1.1.0/24" in found
        assert ("fd01:0:0:1::/64" in found) == ipv6


def test_an_orphan_goes_once_everything_is_known() -> None:
    """A peer that a predecessor left, and that nobody announces, stays until then."""
    made = world()
    made.restart(unheard=(SOUTH,))
    orphan = agents_node(9, public_key=STRANGER)
    made.announce(EAST, n9=orphan)
    made.settle()
    made.restart(unheard=(SOUTH,))
    made.exporters[EAST].withdraw("n9")
    made.hear(EAST)
    made.settle()
    assert STRANGER in made.device.device().peers

    made.hear(SOUTH)
    made.settle()
    assert STRANGER not in made.device.device().peers


def test_without_ranges_of_our_own_nothing_is_certain() -> None:
    """Whoever does not know itself refuses nobody, and takes nothing away."""
    made = world()
    made.restart(unheard=(HERE,))

    assert made.picture.declared is None
    assert not made.wanted().certain


def test_a_cluster_that_is_refused_keeps_what_stands() -> None:
    """It declares a range of south, which was first; its peers stay, without addresses of south."""
    made = world()
    before = dict(made.device.holders)
    made.declare(EAST, pod_cidrs=("10.1.0.0/16", "10.2.0.0/16"))
    assert set(made.picture.decision.refused) == {EAST}
    made.announce(EAST, n9=agents_node(9))

    assert made.settle() == []
    assert made.wanted().certain
    assert made.device.holders == before
    assert [one.reason for one in made.picture.refusals()[EAST]] == ["RangeOverlap"]


GARBAGE = ("garbage", "a.example:port", "10.1.1.1:99999", "[::1", "x" * 10_000, ":", "1.2.3.4:0")


@pytest.mark.parametrize("endpoint", GARBAGE, ids=range(len(GARBAGE)))
def test_a_refused_cluster_sets_no_endpoint_that_is_none(endpoint: str) -> None:
    """Nobody judges its nodes any more, and a device would refuse everybody's changes with it."""
    made = world()
    made.picture.resolved["a.example"] = "203.0.113.50"
    made.declare(EAST, pod_cidrs=("10.1.0.0/16", "10.2.0.0/16"))
    made.announce(EAST, n1=agents_node(1, endpoint=endpoint))
    made.pass_time(20, SOUTH1)

    assert made.settle() == []
    assert EAST1 in made.device.device().peers


def test_a_refused_cluster_is_not_reached_inside_of_the_tunnels() -> None:
    """An endpoint there would lead into a tunnel of somebody else."""
    made = world()
    made.declare(EAST, pod_cidrs=("10.1.0.0/16", "10.2.0.0/16"))
    made.announce(EAST, n1=agents_node(1, endpoint="10.2.1.7:51820"))

    assert made.settle() == []


def test_a_refused_cluster_takes_no_peer_of_an_admitted_one() -> None:
    """It announces south's key; south's peer stays as south announces it."""
    made = world()
    made.declare(EAST, pod_cidrs=("10.1.0.0/16", "10.2.0.0/16"))
    made.announce(EAST, n7=agents_node(7, public_key=SOUTH1, endpoint="192.0.2.66:6"))

    assert made.settle() == []
    made.pass_time(20, EAST1, EAST2)
    made.settle()
    assert made.device.device().peers[SOUTH1].endpoint == "203.0.113.41:51820"


def test_the_address_that_is_asked_is_the_one_in_the_tunnel() -> None:
    """Each peer that has one is asked there."""
    made = world(1)
    made.announce(EAST, n2=agents_node(2, tunnel_ip=None))

    assert dict(made.picture.probes()) == {EAST1: "10.201.0.1", SOUTH1: "10.202.0.1"}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), st.sampled_from((EAST, SOUTH)), st.integers(1, 3)),
        st.tuples(st.just("withdraw"), st.sampled_from((EAST, SOUTH)), st.integers(1, 3)),
        st.tuples(st.just("silence"), st.sampled_from((EAST, SOUTH)), st.integers(1, 3)),
        st.tuples(st.just("overlap"), st.sampled_from((EAST, SOUTH)), st.booleans()),
        st.tuples(st.just("restart"), st.just(HERE), st.booleans()),
    ),
    max_size=12,
)


def take(made: TunnelWorld, step: tuple[str, str, int]) -> None:
    """Let one thing happen."""
    what, cluster, number = step
    match what:
        case "announce":
            made.announce(cluster, **{f"n{number}": agents_node(number, cluster)})  # type: ignore[arg-type]
        case "withdraw":
            made.withdraw(cluster, f"n{number}")  # type: ignore[arg-type]
        case "silence":
            peers = made.device.device().peers
            made.pass_time(14, *(k for k in peers if k != key(number, cluster)))  # type: ignore[arg-type]
        case "overlap":
            ranges = ("10.1.0.0/16", "10.2.0.0/16") if number else ()
            made.declare(cluster, **({"pod_cidrs": ranges} if ranges else {}))  # type: ignore[arg-type]
        case "restart":
            made.restart(unheard=(EAST,) if number else ())
            made.settle()
            made.hear(EAST)


@settings(max_examples=60)
@given(STEPS)
def test_whatever_happens_it_settles_and_every_claim_has_one_holder(
    steps: list[tuple[str, str, int]],
) -> None:
    """A plan ends after any steps; a service range is at a peer of its own cluster."""
    made = TunnelWorld(EAST, SOUTH)
    for step in steps:
        take(made, step)
        made.settle()
        assert made.settle() == []
        for cluster, cidr in ((EAST, EAST_SERVICES), (SOUTH, SOUTH_SERVICES)):
            desired = made.picture.desired().get(cluster)
            if desired and desired.peers:
                assert holder(made, cidr) in {peer.public_key for peer in desired.peers.values()}


def test_a_next_key_that_two_clusters_announce_is_that_of_the_first() -> None:
    """Whoever copies it from the bus gets nothing of the node that changes to it."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, next_public_key=STRANGER))
    made.announce(SOUTH, n1=agents_node(1, SOUTH, next_public_key=STRANGER))
    made.settle()
    made.device.receive(STRANGER)
    made.settle()

    assert made.ranges(STRANGER) == {"10.1.1.0/24", "10.201.0.1/32", EAST_SERVICES}
    assert made.ranges(SOUTH1) == {"10.2.1.0/24", "10.202.0.1/32", SOUTH_SERVICES}
    assert made.settle() == []


def test_ranges_follow_the_key_in_use_though_the_wall_clock_was_set_back() -> None:
    """The kernel dates handshakes by that clock; what was seen later is later."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, next_public_key=STRANGER))
    made.device.receive(EAST1, handshake_s=7200.0)
    made.pass_time(1)
    made.settle()
    assert "10.1.1.0/24" in made.ranges(EAST1)

    made.device.receive(STRANGER, handshake_s=3600.0)
    made.settle()
    assert "10.1.1.0/24" in made.ranges(STRANGER)
    made.pass_time(1)
    assert made.settle() == []

    made.device.receive(EAST1, handshake_s=1800.0)
    made.settle()
    assert "10.1.1.0/24" in made.ranges(EAST1)


def test_a_restart_takes_the_key_with_the_later_handshake() -> None:
    """Nothing else is known then of which one is in use."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, next_public_key=STRANGER))
    made.settle()
    made.device.receive(EAST1, handshake_s=3600.0)
    made.device.receive(STRANGER, handshake_s=7200.0)
    made.restart()
    made.settle()

    assert "10.1.1.0/24" in made.ranges(STRANGER)


def test_a_next_key_is_no_other_nodes_present_one() -> None:
    """A later cluster with it is refused, so the node's change of its key goes on."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, next_public_key=STRANGER))
    made.announce(SOUTH, n7=agents_node(7, SOUTH, public_key=STRANGER))
    made.settle()

    assert [(one.name, one.reason) for one in made.picture.refusals()[SOUTH]] == [
        ("n7", "DuplicateKey")
    ]
    assert made.picture.desired()[EAST].peers["n1"].keys == (EAST1, STRANGER)


def test_a_next_key_takes_no_present_key_of_its_own_cluster() -> None:
    """A node that says it will have another one's key is wrong; the other one keeps it."""
    made = world(2)
    made.announce(EAST, n1=agents_node(1, next_public_key=EAST2))
    made.settle()

    assert made.picture.desired()[EAST].peers["n1"].keys == (EAST1,)
    assert made.ranges(EAST2) >= {"10.1.2.0/24", "10.201.0.2/32"}


def test_a_cluster_that_is_refused_while_a_node_changes_its_key_keeps_its_ranges() -> None:
    """They are at the next key already, which nobody announces as a present one yet."""
    made = world(1)
    made.announce(EAST, n1=agents_node(1, next_public_key=STRANGER))
    made.settle()
    made.device.receive(STRANGER)
    made.settle()
    before = dict(made.device.holders)
    assert before["10.1.1.0/24"] == STRANGER
    made.declare(EAST, pod_cidrs=("10.1.0.0/16", "10.2.0.0/16"))

    assert made.settle() == []
    assert made.device.holders == before


LATER = {
    # what south declares from now on, and what n1 of it announces
    "pods": ({"pod_cidrs": ("10.2.0.0/16", "192.168.0.0/16")}, {"pod_cidrs": ("192.168.9.0/24",)}),
    "Services": ({"service_cidrs": (SOUTH_SERVICES, "192.168.0.0/16")}, {}),
    "tunnels": (
        {"tunnel_cidrs": ("10.202.0.0/16", "192.168.9.0/24")},
        {"tunnel_ip": "192.168.9.1/24"},
    ),
}


@pytest.mark.parametrize(("ranges", "fields"), LATER.values(), ids=LATER)
def test_a_later_cluster_does_not_cut_off_an_earlier_one(
    ranges: dict[str, tuple[str, ...]], fields: dict[str, Any]
) -> None:
    """It declares a range around the addresses where the earlier one's nodes are reached."""
    made = TunnelWorld(EAST, SOUTH)
    made.announce(EAST, n1=agents_node(1, endpoint="192.168.9.1:51820"))
    made.announce(SOUTH, n1=agents_node(1, SOUTH), n2=agents_node(2, SOUTH))
    made.settle()
    before = made.ranges(EAST1)
    assert made.picture.decision.record[EAST].since == made.picture.decision.record[SOUTH].since
    made.declare(SOUTH, **ranges)
    made.announce(SOUTH, n1=agents_node(1, SOUTH, **fields))
    made.settle()

    assert made.ranges(EAST1) == before
    assert made.device.device().peers[EAST1].endpoint == "192.168.9.1:51820"
    assert not any(cidr.startswith("192.168.") for cidr in made.device.holders)
    refusals = [one for found in made.picture.refusals().values() for one in found]
    assert [(one.exporting, one.reason) for one in refusals] == [(SOUTH, "RangeTaken")]
    assert "node n1 of cluster east is reached" in refusals[0].message
    assert key(2, SOUTH) in made.device.device().peers


def test_an_endpoint_inside_of_an_earlier_clusters_range_is_refused() -> None:
    """Its own tunnel would lead into another one's."""
    made = TunnelWorld(EAST, SOUTH)
    made.announce(EAST, **agents_nodes(1))
    made.announce(SOUTH, n1=agents_node(1, SOUTH, endpoint="10.1.1.9:51820"))
    made.settle()

    assert set(made.device.device().peers) == {EAST1}
    assert [one.reason for one in made.picture.refusals()[SOUTH]] == ["AddressTaken"]
