"""Which nodes are peered with: each claims no more than is its own, whatever it announces."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.contract.messages import NodeAnnounced
from services.peerer.desired import DesiredPeers, desire_peers
from tests.support.peers import EAST, HERE, SOUTH, Nodes, but, here, key, neighbour, node, nodes

LAN = "172.16.1.9"
IN_LOCATION = {"granularity": "location", "location": "lab"}


def desired(known: Nodes, **surroundings: Any) -> DesiredPeers:  # noqa: ANN401
    """Return what is desired of cluster east with these nodes, next to cluster south."""
    east = neighbour(known, pod_cidrs=("10.1.0.0/16", "11.1.0.0/16"))
    return desire_peers(east, here(neighbour(nodes(2, SOUTH), SOUTH), east, **surroundings))


def refused(found: DesiredPeers) -> dict[str, str]:
    """Return the reasons by node."""
    return {one.name: one.reason for one in found.refusals if one.kind == "node"}


def routed(found: DesiredPeers) -> dict[str, tuple[str, ...]]:
    """Return the allowed IPs by leader."""
    return {peer.leader: peer.spec.allowed_ips for peer in found.peers or ()}


REFUSED = {
    # what is announced of n2                                        why it is refused
    "nothing wrong":             ({},                                          None),
    "no endpoint":               ({"endpoint": None},                          "NotAPeer"),
    "an endpoint without port":  ({"endpoint": "203.0.113.9"},                 "NotAPeer"),
    "no pods":                   ({"pod_cidrs": ()},                           "NotAPeer"),
    "pods without mask":         ({"pod_cidrs": ("10.1.2.0",)},                "NotAPeer"),
    "pods in words":             ({"pod_cidrs": ("everything",)},              "NotAPeer"),
    "a key of zeros":            ({"public_key": "A" * 43 + "="},              "NotAPeer"),
    "another spelling of a key": ({"public_key": key(1)[:-2] + "F="},          "NotAPeer"),
    "the key of n1":             ({"public_key": key(1)},                      "DuplicateKey"),
    "a key of cluster south":    ({"public_key": key(1, SOUTH)},               "DuplicateKey"),
    "one of our own keys":       ({"public_key": key(1, HERE)},                "DuplicateKey"),
    "a default route":           ({"pod_cidrs": ("0.0.0.0/0",)},               "RangeNotDeclared"),
    "a default route of IPv6":   ({"pod_cidrs": ("::/0",)},                    "RangeNotDeclared"),
    "half of all addresses":     ({"pod_cidrs": ("128.0.0.0/1",)},             "RangeNotDeclared"),
    "more than is declared":     ({"pod_cidrs": ("10.0.0.0/15",)},             "RangeNotDeclared"),
    "our own pods":              ({"pod_cidrs": ("10.0.1.0/24",)},             "RangeNotDeclared"),
    "south's pods":              ({"pod_cidrs": ("10.2.1.0/24",)},             "RangeNotDeclared"),
    "its Services as pods":      ({"pod_cidrs": ("10.101.0.0/24",)},           "RangeNotDeclared"),
    "mapped pods":               ({"pod_cidrs": ("::ffff:10.1.2.0/120",)},     "RangeNotDeclared"),
    "the pods of n1":            ({"pod_cidrs": ("10.1.1.0/24",)},             "RangeTaken"),
    "some pods of n1":           ({"pod_cidrs": ("10.1.1.128/25",)},           "RangeTaken"),
    "around the pods of n1":     ({"pod_cidrs": ("10.1.0.0/20",)},             "RangeTaken"),
    "the whole declared range":  ({"pod_cidrs": ("10.1.0.0/16",)},             "RangeTaken"),
    "pods not admitted": ({"pod_cidrs": ("11.1.2.0/24",)},               "RangeNotAdmitted"),
    "host bits":                 ({"pod_cidrs": ("10.1.2.7/24",)},             None),
    "a second range":            ({"pod_cidrs": ("10.1.2.0/24", "0.0.0.0/0")}, None),
    "a public address":          ({"private_ip": "198.51.100.1"},              "RangeNotAdmitted"),
    "loopback":                  ({"private_ip": "127.0.0.1"},                 "RangeNotAdmitted"),
    "mapped loopback":           ({"private_ip": "::ffff:127.0.0.1"},          "RangeNotAdmitted"),
    "the metadata service":      ({"private_ip": "169.254.169.254"},           "RangeNotAdmitted"),
    "link-local, mapped":        ({"private_ip": "::ffff:a9fe:a9fe"},          "RangeNotAdmitted"),
    "nothing, as address":       ({"private_ip": "0.0.0.0"},                   "RangeNotAdmitted"),  # noqa: S104
    "nothing, in IPv6":          ({"private_ip": "::"},                        "RangeNotAdmitted"),
    "multicast":                 ({"private_ip": "224.0.0.1"},                 "RangeNotAdmitted"),
    "our API server":            ({"private_ip": "10.100.0.1"},                "AddressTaken"),
    "our API server, mapped":    ({"private_ip": "::ffff:10.100.0.1"},         "AddressTaken"),
    "one of our pods":           ({"private_ip": "10.0.1.1"},                  "AddressTaken"),
    "a Service of south":        ({"private_ip": "10.102.0.9"},                "AddressTaken"),
    "a tunnel of south":         ({"private_ip": "10.202.0.1"},                "AddressTaken"),
    "a pod of its own":          ({"private_ip": "10.1.1.1"},                  "AddressTaken"),
    "the address of n1":         ({"private_ip": "172.16.1.1"},                "AddressTaken"),
    "that address, mapped":      ({"private_ip": "::ffff:172.16.1.1"},         "AddressTaken"),
    "our own node's address":    ({"private_ip": "172.16.0.1"},                "AddressTaken"),
    "that address, mapped too":  ({"private_ip": "::ffff:ac10:1"},             "AddressTaken"),
    "an address of south's":     ({"private_ip": "172.16.2.1"},                "AddressTaken"),
    "a zone":                    ({"private_ip": "fe80::1%eth0"},              None),
    "an address in words":       ({"private_ip": "router"},                    None),
    "an address with mask":      ({"private_ip": "10.100.0.1/8"},              None),
    "no address":                ({"private_ip": None},                        None),
    "its endpoint":              ({"private_ip": "203.0.113.22"},              None),
    "a strange tunnel":          ({"tunnel_ip": "0.0.0.0/0"},                  None),
    "a strange location":        ({"location": "../\x00\n'\"é" * 99},          None),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_node_that_claims_too_much_is_refused_alone(
    fields: dict[str, Any], reason: str | None
) -> None:
    """The refusal names that node and both clusters; the others go on, and get nothing of it."""
    known = {**nodes(3), "n2": node(2, **fields)}
    found = desired(known, own=nodes(2, HERE))

    assert refused(found) == ({} if reason is None else {"n2": reason})
    assert set(routed(found)) == {"n1", "n3"} | (set() if reason else {"n2"})
    for refusal in found.refusals:
        assert "node n2 of cluster east" in refusal.message
        assert "cluster here does not peer with it" in refusal.message
    addresses = {cidr for cidrs in routed(found).values() for cidr in cidrs}
    at = {f"10.201.0.{n}/32" for n in (1, 2, 3)}
    own = {f"10.1.{n}.0/24" for n in (1, 2, 3)} | {f"172.16.1.{n}/32" for n in (1, 2, 3)}
    assert addresses <= own | at


MEMBERS = {
    # case             address of the endpoint, private IP              reason
    "our API server": ("10.100.0.1", "10.100.0.1", "AddressTaken"),
    "mapped": ("10.100.0.1", "::ffff:10.100.0.1", "AddressTaken"),
    "our node": ("172.16.0.1", "172.16.0.1", "AddressTaken"),
    "south's pod": ("10.2.0.9", "10.2.0.9", "AddressTaken"),
    "on its own LAN": (LAN, LAN, None),
    "public": ("198.51.100.7", "198.51.100.7", None),
}


@pytest.mark.parametrize(("host", "private_ip", "reason"), MEMBERS.values(), ids=MEMBERS)
def test_an_address_that_is_an_endpoint_is_judged_where_it_is_routed(
    host: str, private_ip: str, reason: str | None
) -> None:
    """Only the leader's own endpoint is left out of its Peer; another node's address goes in."""
    follower = node(2, endpoint=f"{host}:51820", private_ip=private_ip, **IN_LOCATION)
    known = {"a": node(1, leader=True, **IN_LOCATION), "b": follower}
    found = desired(known, own=nodes(2, HERE))

    assert refused(found) == ({} if reason is None else {"b": reason})
    (peer,) = found.peers or ()
    assert peer.leader == "a"
    assert (f"{LAN}/32" in peer.spec.allowed_ips) == (host == LAN)
    assert not {"10.100.0.1/32", "172.16.0.1/32", "198.51.100.7/32"} & set(peer.spec.allowed_ips)


def test_the_leaders_endpoint_is_not_judged_as_an_address() -> None:
    """It is left out of the Peer, so two clusters behind equal LANs can peer by name."""
    known = {"n1": node(1, endpoint="172.16.0.1:51820", private_ip="172.16.0.1")}
    found = desired(known, own=nodes(2, HERE))

    assert refused(found) == {}
    assert routed(found) == {"n1": ("10.1.1.0/24", "10.201.0.1/32")}


def test_a_name_as_endpoint_hides_the_address_behind_it() -> None:
    """A node with a public address only, behind a name: the address is its endpoint, too."""
    known = {
        "n1": node(1, endpoint="a.example:51820", endpoint_ip="198.51.100.1",
                   private_ip="198.51.100.1"),
    }  # fmt: skip
    found = desired(known)

    assert refused(found) == {}
    assert routed(found) == {"n1": ("10.1.1.0/24", "10.201.0.1/32")}


def test_pods_around_our_nodes_addresses_are_refused() -> None:
    """The importing cluster reaches its own nodes without a tunnel, whatever others declare."""
    known = {"n1": node(1, pod_cidrs=("172.16.0.0/24",)), "n2": node(2)}
    east = neighbour(known, pod_cidrs=("10.1.0.0/16", "172.16.0.0/24"))
    found = desire_peers(east, here(east, own=nodes(2, HERE)))

    assert refused(found) == {"n1": "RangeTaken"}
    assert "where here's own node n1 has its address" in found.refusals[0].message
    assert set(routed(found)) == {"n2"}


TAKEN_BY_ITS_OWN = {
    "Services": {"service_cidrs": ("10.1.2.128/25",)},
    "tunnels": {"tunnel_cidrs": ("10.1.2.0/24",)},
}


@pytest.mark.parametrize("ranges", TAKEN_BY_ITS_OWN.values(), ids=TAKEN_BY_ITS_OWN)
def test_pods_in_a_range_for_something_else_are_refused(ranges: dict[str, tuple[str, ...]]) -> None:
    """A cluster may declare wide ranges of pods; where its Services or tunnels are no pods are."""
    east = neighbour(nodes(2, tunnel_ip="10.201.0.1/16"), **ranges)
    found = desire_peers(east, here(east))

    assert refused(found) == {"n2": "RangeTaken"}


def test_a_refused_node_takes_nothing_from_others() -> None:
    """The first cannot be peered with, so the second may have the pods that both announce."""
    a = node(1, private_ip="127.0.0.1")
    found = desired({"a": a, "b": node(2, pod_cidrs=a.pod_cidrs)})

    assert refused(found) == {"a": "RangeNotAdmitted"}
    assert set(routed(found)) == {"b"}


def test_thousands_of_nodes_with_one_range() -> None:
    """The first name has it, and each other one is told so."""
    known: dict[str, NodeAnnounced] = {}
    for number in range(3000):
        made = node(number % 250, private_ip=None, pod_cidrs=("10.1.0.0/16",))
        spelt = f"{number:04d}".translate(str.maketrans("0123456789", "BCDEFGHIJK"))
        known[f"n{number:04d}"] = but(made, public_key="A" * 30 + spelt + "A" * 9 + "=")
    found = desired(known)

    assert set(routed(found)) == {"n0000"}
    assert set(refused(found).values()) == {"RangeTaken"}
    assert len(refused(found)) == 2999


def test_nodes_of_another_mesh_are_not_judged() -> None:
    """A cluster without Kilo announces nodes that Kilo would not take: no fault of theirs."""
    found = desired({**nodes(1), "w": node(2, peering="wireguard", endpoint=None)})

    assert (refused(found), set(routed(found))) == ({}, {"n1"})


def test_who_was_admitted_first_has_the_key_and_the_address() -> None:
    """South was: east's node is refused; in the other order it is the other way round."""
    east = neighbour({"n1": node(1, public_key=key(1, SOUTH))})
    south = neighbour(nodes(1, SOUTH), SOUTH)
    east_second, south_second = here(south, east), here(east, south)

    (refusal,) = desire_peers(east, east_second).refusals
    assert (refusal.exporting, refusal.name) == (EAST, "n1")
    assert "the key of node n1 of cluster south" in refusal.message
    assert desire_peers(south, east_second).refusals == ()
    (refusal,) = desire_peers(south, south_second).refusals
    assert (refusal.exporting, refusal.name) == (SOUTH, "n1")
    assert desire_peers(east, south_second).refusals == ()


def test_an_endpoint_of_others_is_no_address_of_ones_own() -> None:
    """Its tunnel would be led into another one; who was admitted first has the address."""
    south = neighbour({"n1": node(1, SOUTH, endpoint="192.168.7.7:51820")}, SOUTH)
    east = neighbour({"n1": node(1), "n2": node(2, private_ip="192.168.7.7")})
    south_first, east_first = here(south, east), here(east, south)

    (refusal,) = desire_peers(east, south_first).refusals
    assert (refusal.name, refusal.reason) == ("n2", "AddressTaken")
    assert "the address 192.168.7.7, where node n1 of cluster south is reached" in refusal.message
    assert desire_peers(east, east_first).refusals == ()
    assert south_first.book.contested == east_first.book.contested == {EAST, SOUTH}


def test_a_node_may_be_reached_at_the_address_of_another_one_of_its_cluster() -> None:
    """A gateway passes its port on."""
    known = {"n1": node(1, endpoint="172.16.1.2:51821"), "n2": node(2)}
    found = desired(known)

    assert refused(found) == {}
    assert "172.16.1.2/32" in routed(found)["n2"]


ENDPOINTS = {
    "an address": {"private_ip": "192.168.7.7"},
    "pods": {"pod_cidrs": ("192.168.7.0/24",)},
}


@pytest.mark.parametrize("fields", ENDPOINTS.values(), ids=ENDPOINTS)
def test_our_own_endpoints_are_reached_without_a_tunnel(fields: dict[str, Any]) -> None:
    """Our nodes peer with one another at these, so no other cluster has them."""
    east = neighbour({"n1": node(1, **fields), "n2": node(2)}, pod_cidrs=(
        "10.1.0.0/16", "192.168.7.0/25", "192.168.7.128/25"))  # fmt: skip
    east = but(east, declaration=but(east.declaration, service_cidrs=("192.168.7.0/24",)))
    own = {"n1": node(1, HERE, endpoint="192.168.7.7:51820")}
    found = desire_peers(east, here(east, own=own))

    assert set(refused(found)) == {"n1"}
    assert found.shared == ()
    assert [one.reason for one in found.refusals if one.kind == "cluster"] == ["RangeTaken"]
