"""Which nodes get a WireGuard peer: each claims no more than is its own, whatever it announces."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.messages import NodeAnnounced
from services.peerer.wireguard.desired import DesiredPeers, desire_peers
from services.peerer.wireguard.nodes import MAX_RANGES
from tests.support.peers import EAST, HERE, SOUTH, Nodes, but, here, key, neighbour
from tests.support.ranges import overlap
from tests.support.tunnel_world import agents_node, agents_nodes

HUGE = "x" * 10_000
WIDE = ("10.1.0.0/16", "11.1.0.0/16", "fd01::/48")
"""What east declares of pods; 11.1.0.0/16 is not admitted."""

OWN = {**agents_nodes(2, HERE), "lan": agents_node(3, HERE, endpoint="192.168.7.3:51820")}


def desired(known: Nodes, **ranges: tuple[str, ...]) -> DesiredPeers:
    """Return what is desired of cluster east with these nodes, beside cluster south."""
    east = neighbour(known, **({"pod_cidrs": WIDE} | ranges))
    return desire_peers(east, here(neighbour(agents_nodes(2, SOUTH), SOUTH), east, own=OWN))


def refused(found: DesiredPeers) -> dict[str, str]:
    """Return the reasons by node."""
    return {one.name: one.reason for one in found.refusals if one.kind == "node"}


def many(count: int) -> tuple[str, ...]:
    """Return so many small ranges of n2's."""
    return tuple(f"10.1.2.{4 * number}/30" for number in range(count))


REFUSED: dict[str, tuple[dict[str, Any], str | None]] = {
    # what is announced of n2                                                why it is refused
    "nothing wrong":              ({},                                          None),
    "a key in words":             ({"public_key": "secret"},                    "NotAPeer"),
    "no key":                     ({"public_key": ""},                          "NotAPeer"),
    "a key of 31 bytes":          ({"public_key": "A" * 42 + "=="},             "NotAPeer"),
    "a key of zeros":             ({"public_key": "A" * 43 + "="},              "NotAPeer"),
    "another spelling of a key":  ({"public_key": key(2)[:-2] + "J="},          "NotAPeer"),
    "a key and a newline":        ({"public_key": key(2) + "\n"},               "NotAPeer"),
    "a key of 10,000 letters":    ({"public_key": HUGE},                        "NotAPeer"),
    "the key of n1":              ({"public_key": key(1)},                      "DuplicateKey"),
    "a key of cluster south":     ({"public_key": key(1, SOUTH)},               "DuplicateKey"),
    "one of our own keys":        ({"public_key": key(1, HERE)},                "DuplicateKey"),
    "no endpoint":                ({"endpoint": None},                          None),
    "an empty endpoint":          ({"endpoint": ""},                            "NotAPeer"),
    "an endpoint without port":   ({"endpoint": "203.0.113.9"},                 "NotAPeer"),
    "an endpoint with port 0":    ({"endpoint": "203.0.113.9:0"},               "NotAPeer"),
    "an endpoint with a big port": ({"endpoint": "203.0.113.9:65536"},          "NotAPeer"),
    "an endpoint with port +1":   ({"endpoint": "203.0.113.9:+1"},              "NotAPeer"),
    "a port in other digits":     ({"endpoint": "203.0.113.9:٥١٨٢٠"},           "NotAPeer"),
    "IPv6 without brackets":      ({"endpoint": "2001:db8::1:51820"},           "NotAPeer"),
    "IPv6 with a zone":           ({"endpoint": "[fe80::1%eth0]:51820"},        "NotAPeer"),
    "IPv4 in brackets":           ({"endpoint": "[203.0.113.9]:51820"},         "NotAPeer"),
    "two lines":                  ({"endpoint": "a.example\nset=1:51820"},      "NotAPeer"),
    "10,000 letters":             ({"endpoint": HUGE + ":51820"},               "NotAPeer"),
    "10,000 digits":              ({"endpoint": "203.0.113.9:" + "1" * 10_000}, "NotAPeer"),
    "a name":                     ({"endpoint": "n2.east.example:51820"},       None),
    "an endpoint of IPv6":        ({"endpoint": "[2001:db8::9]:51820"},         None),
    "on its own LAN":             ({"endpoint": "192.168.9.9:51820"},           None),
    "loopback":                   ({"endpoint": "127.0.0.1:51820"},             "NotAPeer"),
    "loopback of IPv6":           ({"endpoint": "[::1]:51820"},                 "NotAPeer"),
    "loopback, mapped":           ({"endpoint": "[::ffff:127.0.0.1]:51820"},    "NotAPeer"),
    "the metadata service":       ({"endpoint": "169.254.169.254:80"},          "NotAPeer"),
    "nowhere":                    ({"endpoint": "0.0.0.0:51820"},               "NotAPeer"),
    "everywhere":                 ({"endpoint": "255.255.255.255:51820"},       "NotAPeer"),
    "multicast":                  ({"endpoint": "[ff02::1]:51820"},             "NotAPeer"),
    "link-local":                 ({"endpoint": "[fe80::1]:51820"},             "NotAPeer"),
    "one of our pods":            ({"endpoint": "10.0.1.9:51820"},              "AddressTaken"),
    "one of our Services":        ({"endpoint": "10.100.0.1:443"},              "AddressTaken"),
    "a tunnel of south":          ({"endpoint": "10.202.0.1:51820"},            "AddressTaken"),
    "one of its own pods":        ({"endpoint": "10.1.2.1:51820"},              "AddressTaken"),
    "no pods":                    ({"pod_cidrs": ()},                           None),
    "pods of two families":       ({"pod_cidrs": ("10.1.2.0/24", "fd01:0:0:2::/64")}, None),
    "one range twice":            ({"pod_cidrs": ("10.1.2.0/24", "10.1.2.0/24")}, None),
    "pods without mask":          ({"pod_cidrs": ("10.1.2.0",)},                "NotAPeer"),
    "pods in words":              ({"pod_cidrs": ("everything",)},              "NotAPeer"),
    "pods of 10,000 letters":     ({"pod_cidrs": (HUGE,)},                      "NotAPeer"),
    "host bits":                  ({"pod_cidrs": ("10.1.2.7/24",)},             "NotAPeer"),
    "a mask of 10,000 digits":    ({"pod_cidrs": ("10.1.2.0/" + "2" * 10_000,)}, "NotAPeer"),
    "a mask in dots":             ({"pod_cidrs": ("10.1.2.0/255.255.255.0",)},  "NotAPeer"),
    "another spelling of IPv6":   ({"pod_cidrs": ("FD01:0:0:2::/64",)},         "NotAPeer"),
    "as many as may be":          ({"pod_cidrs": many(MAX_RANGES)},             None),
    "one more":        ({"pod_cidrs": (*many(MAX_RANGES), "10.1.3.0/30")},      "NotAPeer"),
    "thousands":                  ({"pod_cidrs": ("10.1.2.0/24",) * 5_000},     "NotAPeer"),
    "a good one and a bad one":   ({"pod_cidrs": ("10.1.2.0/24", "0.0.0.0/0")}, "RangeNotDeclared"),
    "a default route of IPv6":    ({"pod_cidrs": ("::/0",)},                    "RangeNotDeclared"),
    "half of all addresses":      ({"pod_cidrs": ("128.0.0.0/1",)},             "RangeNotDeclared"),
    "our own pods":               ({"pod_cidrs": ("10.0.1.0/24",)},             "RangeNotDeclared"),
    "south's pods":               ({"pod_cidrs": ("10.2.1.0/24",)},             "RangeNotDeclared"),
    "pods not admitted":          ({"pod_cidrs": ("11.1.2.0/24",)},             "RangeNotAdmitted"),
    "the pods of n1":             ({"pod_cidrs": ("10.1.1.0/24",)},             "RangeTaken"),
    "some pods of n1":            ({"pod_cidrs": ("10.1.1.128/25",)},           "RangeTaken"),
    "around the pods of n1":      ({"pod_cidrs": ("10.1.0.0/20",)},             "RangeTaken"),
    "hidden behind its own":      ({"pod_cidrs": ("10.1.2.0/24", "10.1.0.0/22")}, "RangeTaken"),
    "no tunnel address":          ({"tunnel_ip": None},                         None),
    "another mask":               ({"tunnel_ip": "10.201.0.2/32"},              None),
    "an address without mask":    ({"tunnel_ip": "10.201.0.2"},                 "NotAPeer"),
    "an address in words":        ({"tunnel_ip": "router/16"},                  "NotAPeer"),
    "an address of 10,000 letters": ({"tunnel_ip": HUGE + "/16"},               "NotAPeer"),
    "an address with a zone":     ({"tunnel_ip": "fe80::1%eth0/64"},            "NotAPeer"),
    "the tunnel address of n1":   ({"tunnel_ip": "10.201.0.1/16"},              "AddressTaken"),
    "that address, mapped":       ({"tunnel_ip": "::ffff:10.201.0.1/128"},      "AddressTaken"),
    "a tunnel address of south":  ({"tunnel_ip": "10.202.0.1/16"},              "RangeNotDeclared"),
    "our own tunnel address":     ({"tunnel_ip": "10.200.0.1/16"},              "RangeNotDeclared"),
    "a tunnel everywhere":        ({"tunnel_ip": "0.0.0.0/0"},                  "RangeNotDeclared"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_node_that_claims_too_much_is_refused_alone(
    fields: dict[str, Any], reason: str | None
) -> None:
    """The refusal names that node and both clusters; the others go on, and get nothing of it."""
    found = desired({**agents_nodes(3), "n2": agents_node(2, **fields)})

    assert refused(found) == ({} if reason is None else {"n2": reason})
    assert set(found.peers) == {"n1", "n3"} | (set() if reason else {"n2"})
    for refusal in found.refusals:
        assert "node n2 of cluster east" in refusal.message
        assert "cluster here does not peer with it" in refusal.message
        assert len(refusal.message) < 1_000
    for number, name in enumerate(("n1", "n3")):
        at = 2 * number + 1
        assert found.peers[name].ranges == (f"10.1.{at}.0/24", f"10.201.0.{at}/32")


def test_a_nodes_peer() -> None:
    """Key, endpoint, its pods and its tunnel address; the Services' range is offered by all."""
    found = desired(agents_nodes(1))
    peer = found.peers["n1"]

    assert (found.exporting, found.shared) == (EAST, ("10.101.0.0/16",))
    assert (peer.node, peer.keys, peer.endpoint) == ("n1", (key(1),), "203.0.113.21:51820")
    assert (peer.ranges, peer.probe) == (("10.1.1.0/24", "10.201.0.1/32"), "10.201.0.1")


def test_nodes_of_another_mesh_are_not_judged() -> None:
    """What Kilo peers with is no peer of an agent, and no fault of theirs."""
    found = desired({**agents_nodes(1), "k": agents_node(2, peering="kilo")})

    assert (refused(found), set(found.peers)) == ({}, {"n1"})


def test_our_own_nodes_are_reached_without_a_tunnel() -> None:
    """Neither pods nor a tunnel address are where our nodes are, whatever another one declares."""
    lan = {
        "pod_cidrs": (*WIDE, "192.168.7.0/25"),
        "tunnel_cidrs": ("10.201.0.0/16", "192.168.7.0/24"),
    }
    pods = desired({"n1": agents_node(1, pod_cidrs=("192.168.7.0/25",))}, **lan, service_cidrs=())
    tunnel = desired({"n1": agents_node(1, tunnel_ip="192.168.7.3/24")}, **lan)

    assert refused(pods) == {"n1": "RangeTaken"}
    assert refused(tunnel) == {"n1": "AddressTaken"}
    assert "here's own node lan" in tunnel.refusals[0].message


def test_a_tunnel_address_that_is_not_admitted() -> None:
    """It is declared, but outside of what this cluster routes at all."""
    found = desired(
        {"n1": agents_node(1, tunnel_ip="11.201.0.1/16")}, tunnel_cidrs=("11.201.0.0/16",)
    )

    assert refused(found) == {"n1": "RangeNotAdmitted"}
    assert "admitted_ranges of here's peerer" in found.refusals[0].message


def test_who_was_admitted_first_has_the_key() -> None:
    """South was: east's node is refused; in the other order it is the other way round."""
    east = neighbour({"n1": agents_node(1, public_key=key(1, SOUTH))})
    south = neighbour(agents_nodes(1, SOUTH), SOUTH)

    assert refused(desire_peers(east, here(south, east))) == {"n1": "DuplicateKey"}
    assert refused(desire_peers(south, here(south, east))) == {}
    assert refused(desire_peers(south, here(east, south))) == {"n1": "DuplicateKey"}


FREED = {
    # what the first of two announces beside the range, and is refused for
    "its second range": {"pod_cidrs": ("10.1.1.0/24", "0.0.0.0/0")},
    "its pods": {"pod_cidrs": ("10.2.1.0/24",)},
    "its tunnel address": {"tunnel_ip": "10.202.0.1/16"},
}


@pytest.mark.parametrize("fields", FREED.values(), ids=FREED)
def test_a_refused_node_takes_nothing_from_others(fields: dict[str, Any]) -> None:
    """The first cannot be peered with, so the second may have what both announce."""
    found = desired({
        "a": agents_node(1, **fields),
        "b": agents_node(2, pod_cidrs=("10.1.1.0/24",), tunnel_ip="10.201.0.1/16"),
    })  # fmt: skip

    assert set(refused(found)) == {"a"}
    assert found.peers["b"].ranges == ("10.1.1.0/24", "10.201.0.1/32")


PODS = st.sampled_from(
    ("10.1.1.0/24", "10.1.1.0/25", "10.1.1.128/25", "10.1.0.0/23", "10.1.2.0/24", "10.1.0.0/22",
     "0.0.0.0/0", "10.2.0.0/24", "fd01::/64", "fd01::/63")
)  # fmt: skip
TUNNELS = st.sampled_from((None, "10.201.0.1/16", "10.201.0.2/16", "10.202.0.1/16", "x"))


@st.composite
def clusters(draw: st.DrawFn) -> dict[str, NodeAnnounced]:
    """Return nodes that often want the same."""
    return {
        f"n{number}": agents_node(
            number,
            public_key=key(draw(st.integers(1, 4))),
            pod_cidrs=tuple(draw(st.lists(PODS, max_size=3))),
            tunnel_ip=draw(TUNNELS),
        )
        for number in range(draw(st.integers(1, 4)))
    }


@given(clusters())
def test_no_two_peers_have_an_address_in_common(known: Nodes) -> None:
    """Whatever nodes of one cluster announce; and keys are at one peer only."""
    peers = desired(known).peers.values()

    for one, other in combinations(peers, 2):
        assert one.public_key != other.public_key
        assert not overlap(one.ranges, other.ranges)


@given(clusters())
def test_refused_nodes_change_nothing_for_the_others(known: Nodes) -> None:
    """Without all of them the same nodes are peers, with the same ranges."""
    found = desired(known)
    keys = {node.public_key for name, node in known.items() if name not in refused(found)}
    fewer = {
        name: node
        for name, node in known.items()
        if name not in refused(found) or node.public_key in keys
    }  # the first name has a key, so those with equal ones stay

    assert desired(fewer).peers == found.peers


def test_thousands_of_nodes_that_want_one_range() -> None:
    """The first name has it, and each other one is told so."""
    known: dict[str, NodeAnnounced] = {}
    for number in range(3_000):
        spelt = f"{number:04d}".translate(str.maketrans("0123456789", "BCDEFGHIJK"))
        made = agents_node(1, pod_cidrs=("10.1.0.0/16",), tunnel_ip=None)
        known[f"n{number:04d}"] = but(made, public_key="A" * 30 + spelt + "A" * 9 + "=")
    found = desired(known)

    assert set(found.peers) == {"n0000"}
    assert set(refused(found).values()) == {"RangeTaken"}
    assert len(refused(found)) == 2_999


TEXTS = st.text(max_size=60) | st.sampled_from((HUGE, "a\x00b", "\ud800", "/", ":", "::/", "[]:1"))


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_any_texts_are_judged(public_key: str, endpoint: str, cidr: str, address: str) -> None:
    """Nothing that another cluster says raises an error, and its other nodes go on."""
    strange = agents_node(
        2, public_key=public_key, endpoint=endpoint, pod_cidrs=(cidr,), tunnel_ip=address
    )
    found = desired({"n1": agents_node(1), "n2": strange})

    assert set(found.peers) == {"n1"}
    assert refused(found) == {"n2": "NotAPeer"}
