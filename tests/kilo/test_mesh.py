"""Kilo's mesh: who leads, who has which address in the tunnel, and what counts of silent nodes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo.addresses import is_behind_nat, is_public, parse_address
from heliograph.kilo.mesh import AS_KGCTL, OURS, GranularityUnknown, Mesh, mesh_of
from heliograph.kilo.specs import peer_spec, with_extras
from heliograph.kilo.validation import why_invalid
from tests.support.kilo import key, peers

PUBLIC, PRIVATE, NAME = "203.0.113.1:51820", "10.0.0.1:51820", "gw.example.com:51820"


def announced(number: int = 1, **fields: Any) -> NodeAnnounced:  # noqa: ANN401 - its fields
    """Return a node of a mesh by location."""
    usual = {
        "public_key": key(number),
        "endpoint": f"203.0.113.{number}:51820",
        "pod_cidrs": (f"10.42.{number}.0/24",),
        "private_ip": f"10.1.0.{number}",
        "tunnel_ip": "10.4.0.9/16",
        "granularity": "location",
    }
    return NodeAnnounced(**(usual | fields))


def full(count: int, **fields: Any) -> dict[str, NodeAnnounced]:  # noqa: ANN401 - of each node
    """Return nodes n1, n2, … of a full mesh."""
    numbers = range(1, count + 1)
    return {f"n{n}": announced(n, granularity="full", **fields) for n in numbers}


LEADERS = {
    # case                         a: leader, endpoint   b: leader, endpoint   who leads
    "a public candidate":          (True, PRIVATE,       True, PUBLIC,         "b"),
    "two public candidates":       (True, PUBLIC,        True, PUBLIC,         "a"),
    "a candidate, not public":     (False, PUBLIC,       True, PRIVATE,        "b"),
    "a public node":               (False, PRIVATE,      False, PUBLIC,        "b"),
    "two public nodes":            (False, PUBLIC,       False, PUBLIC,        "a"),
    "just the first":              (False, PRIVATE,      False, PRIVATE,       "a"),
    "a name is not public":        (False, NAME,         False, PUBLIC,        "b"),
    "carriers' range is public":   (False, PRIVATE,      False, "100.64.0.1:1", "b"),
}  # fmt: skip


@pytest.mark.parametrize(("a", "a_at", "b", "b_at", "leader"), LEADERS.values(), ids=LEADERS)
@pytest.mark.parametrize("rules", [OURS, AS_KGCTL], ids=["ours", "as kgctl"])
def test_who_leads(rules: Any, a: bool, a_at: str, b: bool, b_at: str, leader: str) -> None:  # noqa: ANN401, FBT001 - a case
    """A public candidate, else a candidate, else a public node, else the first."""
    nodes = {"b": announced(2, leader=b, endpoint=b_at), "a": announced(leader=a, endpoint=a_at)}
    (segment,) = mesh_of(nodes, rules=rules).segments
    assert (segment.name, segment.nodes, segment.leader) == ("location:", ("a", "b"), leader)


ADDRESSES = {
    # address             public to Kilo, behind NAT to us
    "10.255.255.255":     (False, True),
    "11.0.0.0":           (True, False),
    "172.15.255.255":     (True, False),
    "172.16.0.0":         (False, True),
    "172.31.255.255":     (False, True),
    "172.32.0.0":         (True, False),
    "192.168.0.1":        (False, True),
    "100.64.0.1":         (True, True),
    "203.0.113.1":        (True, False),
    "fd00::1":            (False, True),
    "fd01::1":            (True, True),
    "fc00::1":            (True, True),
    "2001:db8::1":        (True, False),
    "::ffff:10.0.0.1":    (False, True),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items(), ids=ADDRESSES)
def test_public_addresses(text: str, expected: tuple[bool, bool]) -> None:
    """Kilo knows three private ranges and one of IPv6; NAT hides more than those."""
    address = parse_address(text)
    assert address is not None
    assert (is_public(address), is_behind_nat(address)) == expected


def test_locations_come_before_single_nodes() -> None:
    """Segments stand in the byte order of their names, each node without private IP alone."""
    nodes = {
        "b": announced(1, private_ip=None),
        "a": announced(2, location="ö"),
        "c": announced(3, location="z"),
        "d": announced(4, location=""),
    }
    mesh = mesh_of(nodes)
    assert [s.name for s in mesh.segments] == ["location:", "location:z", "location:ö", "node:b"]
    assert [s.tunnel_ip for s in mesh.segments] == [f"10.4.0.{n}" for n in (1, 2, 3, 4)]


def test_a_silent_node_does_not_lead_while_another_can() -> None:
    """It stays a member, with its pod range and its private IP, and its segment has its address."""
    nodes = {
        "a": announced(1, leader=True, ready=False),
        "b": announced(2, endpoint=PRIVATE),
    }
    (segment,) = mesh_of(nodes).segments
    assert (segment.leader, segment.ready, segment.tunnel_ip) == ("b", True, "10.4.0.1")
    expected = ("10.42.1.0/24", "10.1.0.1/32", "10.42.2.0/24", "10.1.0.2/32", "10.4.0.1/32")
    assert peer_spec(segment, nodes).allowed_ips == expected


def test_a_silent_segment_keeps_its_leader_and_takes_no_address() -> None:
    """The addresses of the others are those that Kilo gives them."""
    nodes = {
        "a": announced(1, location="x", ready=False),
        "b": announced(2, location="x", leader=True, ready=False),
        "c": announced(3, location="y"),
    }
    silent, alive = mesh_of(nodes).segments
    assert (silent.leader, silent.ready, silent.tunnel_ip) == ("b", False, None)
    assert (alive.name, alive.ready, alive.tunnel_ip) == ("location:y", True, "10.4.0.1")


def test_a_mesh_of_silent_nodes_only() -> None:
    """What they state is what is known."""
    mesh = mesh_of(full(2, ready=False))
    assert (mesh.granularity, mesh.tunnel_cidr) == ("full", "10.4.0.0/16")
    assert [s.ready for s in mesh.segments] == [False, False]
    assert mesh_of(full(2, ready=False), rules=AS_KGCTL) == Mesh(tunnel_cidr="10.4.0.0/16")


SUBNETS = {
    "of most": (["10.5.0.1/16", "10.6.0.1/16", "10.6.0.2/16"], "10.6.0.0/16"),
    "the first among equals": (["10.6.0.1/16", "10.5.0.1/16"], "10.5.0.0/16"),
    "of one": ([None, "fd00:4::1/64", None], "fd00:4::/64"),
    "of none": ([None, None], None),
    "that is none": (["10.4.0.1", "10.4.0.300/16"], None),
}


@pytest.mark.parametrize(("stated", "expected"), SUBNETS.values(), ids=SUBNETS)
def test_kilos_subnet(stated: list[str | None], expected: str | None) -> None:
    """Nodes may disagree while it is changed: most of them count, whatever their order."""
    for texts in (stated, stated[::-1]):
        nodes = {f"n{n}": announced(n, tunnel_ip=text) for n, text in enumerate(texts, start=1)}
        assert mesh_of(nodes).tunnel_cidr == expected


def test_what_silent_nodes_state_counts_less() -> None:
    """They may have missed a change of the subnet, or of the granularity."""
    old = {"ready": False, "tunnel_ip": "10.5.0.1/16", "granularity": "full"}
    nodes = {"a": announced(1, **old), "b": announced(2, **old), "c": announced(3)}
    mesh = mesh_of(nodes)
    assert (mesh.granularity, mesh.tunnel_cidr) == ("location", "10.4.0.0/16")


def test_a_granularity_that_nodes_disagree_about() -> None:
    """No mesh is better than a wrong one; who states nothing does not disagree."""
    nodes = {"a": announced(1), "b": announced(2, granularity="full")}
    with pytest.raises(GranularityUnknown, match="the nodes say both full and location") as error:
        mesh_of(nodes)
    assert error.value.stated == ("full", "location")
    assert len(mesh_of(nodes, granularity="full").segments) == 2
    assert mesh_of(nodes | {"b": announced(2, granularity="")}).granularity == "location"


UNFIT = {
    "no endpoint": announced(endpoint=None),
    "a bad endpoint": announced(endpoint="gw"),
    "no pod range": announced(pod_cidrs=()),
    "a bad pod range": announced(pod_cidrs=("10.42.1.0",)),
    "a key of zeros": announced(public_key="A" * 43 + "="),
}


@pytest.mark.parametrize("node", UNFIT.values(), ids=UNFIT)
def test_a_node_that_kilo_would_never_call_ready(node: NodeAnnounced) -> None:
    """One that another cluster announces all the same has no part in its mesh."""
    assert mesh_of({"a": node, "b": announced(2)}) == mesh_of({"b": announced(2)})
    assert mesh_of({"a": node}).segments == mesh_of({}).segments == ()


KEEPALIVES = {
    "stated": ({"persistent_keepalive": 10}, 10),
    "stated, behind NAT": ({"persistent_keepalive": 10, "endpoint": PRIVATE}, 10),
    "behind NAT": ({"endpoint": PRIVATE}, 25),
    "behind a carrier's NAT": ({"endpoint": "100.64.0.1:51820"}, 25),
    "a name behind NAT": ({"endpoint": NAME, "endpoint_ip": "192.168.1.1"}, 25),
    "a name, not resolved": ({"endpoint": NAME}, 0),
    "public": ({"endpoint": PUBLIC}, 0),
}


@pytest.mark.parametrize(("said", "expected"), KEEPALIVES.values(), ids=KEEPALIVES)
def test_keepalive(said: dict[str, Any], expected: int) -> None:
    """A peer behind NAT may be found elsewhere than it says, which takes an interval in Kilo."""
    nodes = {"a": announced(**said)}
    assert peers(nodes)["a"].persistent_keepalive == expected
    assert peers(nodes, rules=AS_KGCTL)["a"].persistent_keepalive == 0


def test_the_address_behind_a_name_is_no_allowed_ip_either() -> None:
    """What the name resolves to is the endpoint's own address."""
    nodes = {"a": announced(endpoint=NAME, endpoint_ip="10.1.0.1")}
    assert peers(nodes)["a"].allowed_ips == ("10.42.1.0/24", "10.4.0.1/32")
    as_kgctl = ("10.42.1.0/24", "10.1.0.1/32", "10.4.0.1/32")
    assert peers(nodes, rules=AS_KGCTL)["a"].allowed_ips == as_kgctl


def test_no_allowed_ip_stands_twice() -> None:
    """Nodes that share a private IP by mistake cost nobody a Peer that flaps."""
    nodes = {"a": announced(1), "b": announced(2, private_ip="10.1.0.1")}
    expected = ("10.42.1.0/24", "10.1.0.1/32", "10.42.2.0/24", "10.4.0.1/32")
    assert peers(nodes)["a"].allowed_ips == expected


ADDRESS = st.ip_addresses().map(str)
ANY_TEXT = st.text(max_size=20)
ENDPOINT = st.builds(
    "{}:{}".format,
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).map("[{}]".format), st.just("gw")),
    st.integers(0, 70000),
)
CIDR = st.builds("{}/{}".format, ADDRESS, st.integers(0, 130))
NODES = st.dictionaries(
    st.text("n123", min_size=1, max_size=4),
    st.builds(
        NodeAnnounced,
        public_key=st.integers(0, 255).map(key),
        endpoint=st.none() | ENDPOINT | ANY_TEXT,
        endpoint_ip=st.none() | ADDRESS | ANY_TEXT,
        pod_cidrs=st.lists(CIDR | ANY_TEXT, max_size=2).map(tuple),
        private_ip=st.none() | ADDRESS | ANY_TEXT,
        tunnel_ip=st.none() | CIDR | ANY_TEXT,
        location=st.sampled_from(["", "eu", "us"]),
        leader=st.booleans(),
        granularity=st.sampled_from(["", "location", "full"]),
        persistent_keepalive=st.integers(0, 65535),
        ready=st.booleans(),
    ),
    max_size=6,
)
GRANULARITIES = st.sampled_from(["location", "full"])


@given(NODES, GRANULARITIES, st.lists(CIDR, max_size=2))
def test_every_peer_passes_kilos_validation(
    nodes: dict[str, NodeAnnounced],
    granularity: str,
    extras: list[str],
) -> None:
    """Whatever another cluster announces, Kilo takes what is made of it."""
    valid = [extra for extra in extras if parse_valid(extra)]
    for segment in mesh_of(nodes, granularity=granularity).segments:
        spec = with_extras(peer_spec(segment, nodes), valid)
        assert why_invalid(spec) is None
        assert len(set(spec.allowed_ips)) == len(spec.allowed_ips)
        assert not spec.preshared_key


def parse_valid(text: str) -> bool:
    """Tell whether the mask is not longer than the address."""
    address, _, mask = text.partition("/")
    return int(mask) <= (128 if ":" in address else 32)


@given(NODES, GRANULARITIES)
def test_the_mesh_is_whole_and_in_order(nodes: dict[str, NodeAnnounced], granularity: str) -> None:
    """Each fit node is in one segment; names ascend in bytes; addresses are positions."""
    mesh = mesh_of(nodes, granularity=granularity)
    members = [name for segment in mesh.segments for name in segment.nodes]
    assert len(members) == len(set(members))
    names = [segment.name.encode() for segment in mesh.segments]
    assert names == sorted(set(names))
    for segment in mesh.segments:
        assert [n.encode() for n in segment.nodes] == sorted(n.encode() for n in segment.nodes)
        assert segment.leader in segment.nodes
        assert nodes[segment.leader].ready == segment.ready
    shuffled = dict(sorted(nodes.items(), reverse=True))
    assert mesh_of(shuffled, granularity=granularity) == mesh


@given(NODES, GRANULARITIES)
def test_what_fell_silent_moves_addresses_as_with_kilo(
    nodes: dict[str, NodeAnnounced],
    granularity: str,
) -> None:
    """Ready segments have the addresses that a mesh of the ready nodes alone would give them."""
    ready_only = {name: node for name, node in nodes.items() if node.ready}
    kilo, ours = (
        mesh_of(ready_only, granularity=granularity),
        mesh_of(nodes, granularity=granularity),
    )
    if kilo.tunnel_cidr == ours.tunnel_cidr:
        assert addresses(ours) == addresses(kilo)
    leaders = {s.name: s.leader for s in ours.segments if s.ready}
    assert leaders == {s.name: s.leader for s in kilo.segments}


def addresses(mesh: Mesh) -> dict[str, str | None]:
    """Return the addresses of ready segments."""
    return {segment.name: segment.tunnel_ip for segment in mesh.segments if segment.ready}
