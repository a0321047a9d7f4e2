"""The worked examples that were tried on kgctl 0.7.0 itself (E1 to E12), as it and as we do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from heliograph.contract.messages import NodeAnnounced
from heliograph.errors import InputError
from heliograph.kilo.mesh import (
    AS_KGCTL,
    OURS,
    GranularityUnknown,
    MeshRules,
    TunnelRangeExhausted,
    mesh_of,
)
from heliograph.kilo.peer import DNSOrIP, PeerEndpoint, PeerSpec
from heliograph.kilo.showconf import NodeNotReady, segment_led_by
from tests.support.builders import NOW_S
from tests.support.kilo import announced_nodes, key, peers

Nodes = dict[str, NodeAnnounced]
SERVICES = "10.43.0.0/16"
BOTH = pytest.mark.parametrize("rules", [OURS, AS_KGCTL], ids=["ours", "as kgctl"])

E1 = announced_nodes(
    a_cp={
        "pods": "10.42.0.0/24",
        "endpoint": "203.0.113.10:51820",
        "internal_ip": "10.0.0.4/24",
        "wireguard_ip": "10.4.0.1/16",
        "key": key(1),
    }
)


def three(*, n1_age_s: int = 0, now_s: float = NOW_S) -> Nodes:
    """Return the nodes of E2, in no order."""
    return announced_nodes(
        now_s=now_s,
        n2={
            "pods": "10.42.2.0/24",
            "endpoint": "203.0.113.12:51820",
            "internal_ip": "10.0.0.6/24",
            "wireguard_ip": "10.4.0.2/16",
            "key": key(2),
        },
        n1={
            "pods": "10.42.1.0/24",
            "endpoint": "203.0.113.11:51820",
            "internal_ip": "10.0.0.5/24",
            "wireguard_ip": "10.4.0.1/16",
            "key": key(1),
            "last_seen": str(NOW_S - n1_age_s),
        },
        n10={
            "pods": "10.42.10.0/24",
            "endpoint": "203.0.113.13:51820",
            "internal_ip": "10.0.0.7/24",
            "wireguard_ip": "10.4.0.3/16",
            "key": key(3),
        },
    )


def locations(**aws_3: str) -> Nodes:
    """Return the nodes of E4."""
    by_location = {"granularity": "location"}
    return announced_nodes(
        region="eu-west",
        aws_1=by_location
        | {
            "pods": "10.42.1.0/24",
            "endpoint": "10.1.0.11:51820",
            "internal_ip": "10.1.0.11/24",
            "key": key(1),
        },
        aws_2=by_location
        | {
            "pods": "10.42.2.0/24",
            "endpoint": "198.51.100.2:51820",
            "internal_ip": "10.1.0.12/24",
            "wireguard_ip": "10.4.0.1/16",
            "key": key(2),
        },
        aws_3=by_location
        | {
            "pods": "10.42.3.0/24",
            "endpoint": "198.51.100.3:51820",
            "internal_ip": "10.1.0.13/24",
            "key": key(3),
        }
        | aws_3,
        solo=by_location
        | {
            "pods": "10.42.5.0/24",
            "endpoint": "198.51.100.5:51820",
            "internal_ip": "",
            "wireguard_ip": "10.4.0.3/16",
            "key": key(5),
        },
        lab_1=by_location
        | {
            "location": "lab",
            "pods": "10.42.4.0/24",
            "endpoint": "192.168.1.34:51820",
            "internal_ip": "192.168.1.34/24",
            "wireguard_ip": "10.4.0.2/16",
            "key": key(4),
            "persistent_keepalive": "10",
        },
    )


def one(**said: str) -> Nodes:
    """Return one node, n1."""
    usual = {
        "pods": "10.42.1.0/24",
        "endpoint": "203.0.113.11:51820",
        "internal_ip": "10.0.0.5/24",
        "wireguard_ip": "10.4.0.1/16",
        "key": key(1),
    }
    return announced_nodes(n1=usual | said)


def spec(number: int, ip: str, *allowed_ips: str, **fields: Any) -> PeerSpec:  # noqa: ANN401
    endpoint = PeerEndpoint(dns_or_ip=DNSOrIP(ip=ip), port=51820)
    return PeerSpec(allowed_ips=allowed_ips, endpoint=endpoint, public_key=key(number), **fields)


def allowed(nodes: Nodes, name: str, rules: MeshRules = AS_KGCTL, **given: Any) -> list[str]:  # noqa: ANN401
    return list(peers(nodes, rules=rules, **given)[name].allowed_ips)


@BOTH
def test_e1_one_node_with_the_service_range(rules: MeshRules) -> None:
    """Pod range, private IP, address in the tunnel, then what is shared."""
    expected = spec(1, "203.0.113.10", "10.42.0.0/24", "10.0.0.4/32", "10.4.0.1/32", "10.43.0.0/16")
    assert peers(E1, rules=rules, extras=(SERVICES,)) == {"a-cp": expected}


@BOTH
@pytest.mark.parametrize("age_s", [0, 55, 59])
def test_e2_names_in_byte_order(rules: MeshRules, age_s: int) -> None:
    """Addresses in the tunnel follow the names, n1 < n10 < n2, and not the annotations."""
    assert peers(three(n1_age_s=age_s), rules=rules) == {
        "n1": spec(1, "203.0.113.11", "10.42.1.0/24", "10.0.0.5/32", "10.4.0.1/32"),
        "n10": spec(3, "203.0.113.13", "10.42.10.0/24", "10.0.0.7/32", "10.4.0.2/32"),
        "n2": spec(2, "203.0.113.12", "10.42.2.0/24", "10.0.0.6/32", "10.4.0.3/32"),
    }


@pytest.mark.parametrize("age_s", [60, 61])
def test_e3_a_silent_node_moves_the_addresses_of_all_later_ones(age_s: int) -> None:
    """For kgctl the silent node is gone; ours keeps its Peer, without address in the tunnel."""
    nodes = three(n1_age_s=age_s)
    rest = {
        "n10": spec(3, "203.0.113.13", "10.42.10.0/24", "10.0.0.7/32", "10.4.0.1/32"),
        "n2": spec(2, "203.0.113.12", "10.42.2.0/24", "10.0.0.6/32", "10.4.0.2/32"),
    }
    assert peers(nodes, rules=AS_KGCTL) == rest
    with pytest.raises(NodeNotReady, match="node n1 is unknown, or Kilo does not call it ready"):
        segment_led_by(mesh_of(nodes, rules=AS_KGCTL), "n1")
    silent = spec(1, "203.0.113.11", "10.42.1.0/24", "10.0.0.5/32")
    assert peers(nodes, rules=OURS) == rest | {"n1": silent}


EU_WEST = (
    *("10.42.1.0/24", "10.1.0.11/32", "10.42.2.0/24", "10.1.0.12/32"),
    *("10.42.3.0/24", "10.1.0.13/32", "10.4.0.1/32"),
)


def test_e4_the_public_node_leads_its_location() -> None:
    """One Peer for each location and for each node without private IP."""
    assert peers(locations(), rules=AS_KGCTL) == {
        "aws-2": spec(2, "198.51.100.2", *EU_WEST),
        "lab-1": spec(4, "192.168.1.34", "10.42.4.0/24", "192.168.1.34/32", "10.4.0.2/32"),
        "solo": spec(5, "198.51.100.5", "10.42.5.0/24", "10.4.0.3/32"),
    }
    mesh = mesh_of(locations())
    assert [s.name for s in mesh.segments] == ["location:eu-west", "location:lab", "node:solo"]
    assert segment_led_by(mesh, "aws-1") is segment_led_by(mesh, "aws-3") is None
    assert segment_led_by(mesh, "aws-2") == mesh.segments[0]


def test_e4_as_we_do_it() -> None:
    """The stated keepalive is the Peer's, and the endpoint's own address no allowed IP."""
    found = peers(locations(), rules=OURS)
    kept = {"persistent_keepalive": 10}
    assert found["lab-1"] == spec(4, "192.168.1.34", "10.42.4.0/24", "10.4.0.2/32", **kept)
    as_kgctl = peers(locations(), rules=AS_KGCTL)
    assert found == as_kgctl | {"lab-1": found["lab-1"]}


@BOTH
def test_e5_an_endpoint_that_is_a_name(rules: MeshRules) -> None:
    """The name is where a name belongs, and there is no address; kgctl's defect is nobody's."""
    found = peers(one(force_endpoint="gw.example.com:51821"), rules=rules)["n1"]
    assert found.endpoint == PeerEndpoint(dns_or_ip=DNSOrIP(dns="gw.example.com"), port=51821)
    assert found.allowed_ips == ("10.42.1.0/24", "10.0.0.5/32", "10.4.0.1/32")


def test_e6_a_node_behind_nat() -> None:
    """The configured endpoint, and neither what others discovered nor the location's ranges."""
    nodes = one(
        endpoint="192.168.1.34:51820",
        internal_ip="192.168.1.34/24",
        persistent_keepalive="25",
        allowed_location_ips="192.168.9.0/24,192.168.8.8/32",
        discovered_endpoints='{"' + key(1) + '": {"IP": "203.0.113.99", "Port": 40000}}',
    )
    ranges = ("10.42.1.0/24", "192.168.1.34/32", "10.4.0.1/32", SERVICES)
    as_kgctl = peers(nodes, rules=AS_KGCTL, extras=(SERVICES,))
    assert as_kgctl == {"n1": spec(1, "192.168.1.34", *ranges)}
    kept = {"persistent_keepalive": 25}
    ours = spec(1, "192.168.1.34", "10.42.1.0/24", "10.4.0.1/32", SERVICES, **kept)
    assert peers(nodes, rules=OURS, extras=(SERVICES,)) == {"n1": ours}


@BOTH
def test_e7_shared_ranges_are_masked_and_none_stands_twice(rules: MeshRules) -> None:
    """Appended in their order; IPv6 is as good."""
    extras = ("10.43.5.7/16", "10.42.0.0/24", "10.4.0.1/32", "fd00:43::/112")
    found = allowed(E1, "a-cp", rules, extras=extras)
    expected = ["10.42.0.0/24", "10.0.0.4/32", "10.4.0.1/32", "10.43.0.0/16", "fd00:43::/112"]
    assert found == expected


@pytest.mark.parametrize(
    "extra", ["10.43.0.0", "everything", "", "10.0.0.0/255.0.0.0", "10.0.0.0/"]
)
def test_e7_a_shared_range_without_mask_is_refused(extra: str) -> None:
    """One sentence says what is wrong with it."""
    with pytest.raises(InputError, match="is no range of addresses: give an address and"):
        peers(E1, extras=(extra,))


@BOTH
def test_e8_whatever_the_leader_annotation_says(rules: MeshRules) -> None:
    """Its presence counts: "false" makes a candidate."""
    nodes = locations(leader="false")
    found = peers(nodes, rules=rules)
    assert found["aws-3"] == spec(3, "198.51.100.3", *EU_WEST)
    assert segment_led_by(mesh_of(nodes, rules=rules), "aws-2") is None


FORCED = {
    "none": ("", ["10.42.1.0/24", "10.4.0.1/32"]),
    "a dash": ("-", ["10.42.1.0/24", "10.4.0.1/32"]),
    "another": ("55.55.55.55/32", ["10.42.1.0/24", "55.55.55.55/32", "10.4.0.1/32"]),
    "without mask": ("10.9.9.9", ["10.42.1.0/24", "10.0.0.5/32", "10.4.0.1/32"]),
}


@BOTH
@pytest.mark.parametrize(("forced", "expected"), FORCED.values(), ids=FORCED)
def test_e9_a_forced_private_ip(rules: MeshRules, forced: str, expected: list[str]) -> None:
    """It stands for the found one, if it has a mask; nothing and a dash mean none."""
    assert allowed(one(force_internal_ip=forced), "n1", rules) == expected


def subnets(wireguard_ip: str) -> Nodes:
    """Return the nodes of E10."""
    return announced_nodes(
        s1={
            "pods": "10.44.1.0/24",
            "endpoint": "203.0.113.11:51820",
            "internal_ip": "10.0.0.5/24",
            "wireguard_ip": wireguard_ip,
            "key": key(1),
        },
        s2={
            "pods": "10.44.2.0/24",
            "endpoint": "203.0.113.12:51820",
            "internal_ip": "10.0.0.6/24",
            "key": key(2),
        },
    )


def test_e10_the_subnet_is_where_a_node_states_it() -> None:
    """Without that kgctl guesses, wrongly as often as not; ours has no address rather."""
    stated, silent = subnets("10.6.0.1/16"), subnets("")
    usual = ["10.44.2.0/24", "10.0.0.6/32"]
    assert allowed(stated, "s2", AS_KGCTL) == allowed(stated, "s2", OURS) == [*usual, "10.6.0.2/32"]
    assert allowed(silent, "s2", AS_KGCTL) == [*usual, "10.4.0.2/32"]
    assert allowed(silent, "s2", OURS) == usual
    assert mesh_of(silent).tunnel_cidr is None


UNFIT = {
    "no pod range": one(pods=""),
    "no endpoint": one(endpoint=""),
    "a bad key": one(key="no base64"),
    "a silent one": one(last_seen=str(NOW_S - 60)),
}


@pytest.mark.parametrize("nodes", UNFIT.values(), ids=UNFIT)
def test_e12_no_node_is_ready(nodes: Nodes) -> None:
    """There is no mesh, and no Peer to print."""
    mesh = mesh_of(nodes, rules=AS_KGCTL)
    assert mesh.segments == ()
    with pytest.raises(NodeNotReady, match="no node is ready, so neither is n1"):
        segment_led_by(mesh, "n1")


@BOTH
@pytest.mark.parametrize("said", ["cross", ""])
def test_e12_a_granularity_that_nobody_states(rules: MeshRules, said: str) -> None:
    """It must be given then."""
    nodes = one(granularity=said)
    with pytest.raises(GranularityUnknown, match="the nodes say neither location nor full"):
        mesh_of(nodes, rules=rules)
    usual = ["10.42.1.0/24", "10.0.0.5/32", "10.4.0.1/32"]
    assert allowed(nodes, "n1", rules, granularity="full") == usual


@BOTH
def test_e12_ipv6(rules: MeshRules) -> None:
    """Brackets are the endpoint's only; of two pod ranges Kilo routes the first."""
    nodes = one(
        endpoint="[2001:db8::1]:51820", pods="fd00:42:1::/64,10.42.1.0/24", internal_ip="fd00::5/64"
    )
    expected = spec(1, "2001:db8::1", "fd00:42:1::/64", "fd00::5/128", "10.4.0.1/32")
    assert peers(nodes, rules=rules) == {"n1": expected}


def test_e12_a_node_with_public_addresses_only() -> None:
    """With kgctl the way to the endpoint would be through its own tunnel; ours leaves that out."""
    nodes = one(endpoint="203.0.113.11:51820", internal_ip="203.0.113.11/32")
    as_kgctl = ["10.42.1.0/24", "203.0.113.11/32", "10.4.0.1/32"]
    assert allowed(nodes, "n1", AS_KGCTL) == as_kgctl
    assert allowed(nodes, "n1", OURS) == ["10.42.1.0/24", "10.4.0.1/32"]


def crowd(count: int, cidr: str) -> Nodes:
    """Return nodes in a small subnet."""
    nodes = {}
    for number in range(1, count + 1):
        usual = one(pods=f"10.42.{number}.0/24", key=key(number), wireguard_ip=cidr)["n1"]
        nodes[f"n{number}"] = usual
    return nodes


def tunnel_ips(nodes: Iterable[Any]) -> list[str | None]:
    return [segment.tunnel_ip for segment in nodes]


def test_e12_a_subnet_that_runs_out() -> None:
    """The broadcast address, then none, then an error, says kgctl; ours never fails."""
    four, five = crowd(4, "10.4.0.1/30"), crowd(5, "10.4.0.1/30")
    as_kgctl = tunnel_ips(mesh_of(four, rules=AS_KGCTL).segments)
    assert as_kgctl == ["10.4.0.1", "10.4.0.2", "10.4.0.3", None]
    with pytest.raises(TunnelRangeExhausted, match=r"10\.4\.0\.0/30 has too few addresses for 5"):
        mesh_of(five, rules=AS_KGCTL)
    assert tunnel_ips(mesh_of(five).segments) == ["10.4.0.1", "10.4.0.2", None, None, None]


WITHOUT_BROADCAST = {
    "IPv6": ("fd00:4::/126", ["fd00:4::1", "fd00:4::2", "fd00:4::3"]),
    "two addresses": ("10.4.0.0/31", ["10.4.0.1", None, None]),
    "one address": ("10.4.0.0/32", [None, None, None]),
}


@pytest.mark.parametrize(("cidr", "expected"), WITHOUT_BROADCAST.values(), ids=WITHOUT_BROADCAST)
def test_subnets_without_broadcast_address(cidr: str, expected: list[str | None]) -> None:
    """Their last address is one like any other."""
    assert tunnel_ips(mesh_of(crowd(3, cidr)).segments) == expected


def named(resolved: str | None) -> Nodes:
    """Return a location with two candidates, the first of which has a name as endpoint."""
    by_location = {"granularity": "location", "leader": ""}
    nodes = announced_nodes(
        a=by_location
        | {
            "pods": "10.42.1.0/24",
            "endpoint": "gw.example.com:51820",
            "internal_ip": "10.0.0.5/24",
            "key": key(1),
        },
        b=by_location
        | {
            "pods": "10.42.2.0/24",
            "endpoint": "203.0.113.12:51820",
            "internal_ip": "10.0.0.6/24",
            "key": key(2),
        },
    )
    return nodes | {"a": msgspec.structs.replace(nodes["a"], endpoint_ip=resolved)}


NAMED = {
    "unresolved": (None, "b"),
    "resolved to a public address": ("203.0.113.11", "a"),
    "resolved to a private address": ("10.0.0.5", "b"),
    "resolved to nonsense": ("gw", "b"),
}


@pytest.mark.parametrize(("resolved", "leader"), NAMED.values(), ids=NAMED)
def test_e12_a_leader_with_a_name(resolved: str | None, leader: str) -> None:
    """To kgctl no name is public, since it resolves none; Kilo's agent does, and so does ours."""
    assert list(peers(named(resolved), rules=AS_KGCTL)) == ["b"]
    assert list(peers(named(resolved), rules=OURS)) == [leader]
