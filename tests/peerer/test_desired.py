"""Which Peers should be of one exporting cluster, and which of its ranges they share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy
from heliograph.contract.messages import NodeAnnounced
from heliograph.kilo.validation import why_invalid
from services.peerer.desired import DesiredPeers, desire_peers
from services.peerer.wireguard.desired import desire_peers as desire_with_agents
from tests.support.peers import EAST, HERE, Nodes, but, here, key, neighbour, node, nodes
from tests.support.ranges import overlap

WIDE = (*PRIVATE_RANGES, "0.0.0.0/0", "::/0")


def desired(
    known: Nodes | None = None,
    *,
    admitted: tuple[str, ...] = PRIVATE_RANGES,
    **ranges: Any,  # noqa: ANN401
) -> DesiredPeers:
    """Return what is desired of cluster east with these nodes and declared ranges."""
    east = neighbour(known, **ranges)
    return desire_peers(east, here(east, own=nodes(1, HERE), admitted=admitted))


def reasons(found: DesiredPeers) -> list[tuple[str, str, str]]:
    """Return what is refused, and why."""
    return [(one.kind, one.name, one.reason) for one in found.refusals]


def test_each_ready_segment_is_a_peer() -> None:
    """In the order of segments, each with its key, its endpoint, and what is behind it."""
    found = desired(nodes(2))

    assert [peer.segment for peer in found.peers or ()] == ["node:n1", "node:n2"]
    first = (found.peers or ())[0]
    assert (first.leader, first.healthy, first.spec.public_key) == ("n1", True, key(1))
    assert first.spec.allowed_ips == ("10.1.1.0/24", "172.16.1.1/32", "10.201.0.1/32")
    assert (found.exporting, found.shared, found.refusals) == (EAST, ("10.101.0.0/16",), ())


def test_no_nodes_are_no_peers() -> None:
    """The cluster has announced that it has none: that is certain."""
    found = desired({})

    assert (found.peers, found.refusals) == ((), ())


def test_an_unclear_mesh_leaves_everything_as_it_is() -> None:
    """Nodes that do not agree about the granularity: the refusal says what to wait for."""
    known = {"n1": node(1, granularity="location"), "n2": node(2)}
    found = desired(known)

    assert found.peers is None
    assert reasons(found) == [("cluster", "east", "GranularityUnknown")]
    assert found.refusals[0].message.startswith("Peers of cluster east in cluster here stay")


def test_a_silent_node_is_a_peer_in_bad_health() -> None:
    """For its grace time it stays, without an address in the tunnel; the others move up."""
    found = desired({"n1": node(1, ready=False), "n2": node(2)})

    health = {peer.leader: (peer.healthy, peer.spec.allowed_ips[2:]) for peer in found.peers or ()}
    assert health == {"n1": (False, ()), "n2": (True, ("10.201.0.1/32",))}


def test_a_location_without_its_leader_has_no_peer() -> None:
    """All goes through the leader's key; who leads is the exporting cluster's matter."""
    lab = {"granularity": "location", "location": "lab"}
    known = {"a": node(1, private_ip="127.0.0.1", leader=True, **lab), "b": node(2, **lab)}

    assert desired(known).peers == ()


def test_a_refused_member_is_left_out_of_its_location() -> None:
    """Its pods and its address are; the leader's and the other members' stay."""
    lab = {"granularity": "location", "location": "lab"}
    known = {
        "a": node(1, **lab), "b": node(2, private_ip="127.0.0.1", **lab), "c": node(3, **lab),
    }  # fmt: skip
    (peer,) = desired(known).peers or ()

    assert peer.segment == "location:lab"
    assert peer.spec.allowed_ips == (
        *("10.1.1.0/24", "172.16.1.1/32", "10.1.3.0/24", "172.16.1.3/32"),
        "10.201.0.1/32",
    )


TUNNELS = {
    # declared ranges                                                          routed?
    "declared":                 ({},                                            True),
    "not declared":             ({"tunnel_cidrs": ()},                          False),
    "declared in part":         ({"tunnel_cidrs": ("10.201.0.0/17",)},          False),
    "declared in two parts":    ({"tunnel_cidrs": ("10.201.0.0/17", "10.201.128.0/17")}, True),
    "where its Services are":   ({"service_cidrs": ("10.201.0.0/24",)},         False),
}  # fmt: skip


@pytest.mark.parametrize(("ranges", "routed"), TUNNELS.values(), ids=TUNNELS)
def test_tunnel_addresses_are_routed_where_they_are_declared(
    ranges: dict[str, tuple[str, ...]], *, routed: bool
) -> None:
    """And nowhere else, and not where the cluster has something else."""
    (peer,) = desired(**ranges).peers or ()

    assert ("10.201.0.1/32" in peer.spec.allowed_ips) == routed


def test_tunnel_addresses_never_are_our_nodes_addresses() -> None:
    """A cluster whose Kilo has the range in which our nodes are is peered with without them."""
    known = nodes(2, tunnel_ip="172.16.0.1/24")
    found = desired(known, tunnel_cidrs=("172.16.0.0/24",))

    assert [peer.spec.allowed_ips[2:] for peer in found.peers or ()] == [(), ()]


SERVICES, HALVES = "10.101.0.0/16", ("10.101.0.0/17", "10.101.128.0/17")
SHARED = {
    # Services' ranges                             which are shared                   refused
    "as it should be":     (("10.101.0.0/16",),                     ("10.101.0.0/16",), []),
    "two families":        ((SERVICES, "fd00:7::/112"), (SERVICES, "fd00:7::/112"), []),
    "host bits":           (("10.101.7.7/16",),                     ("10.101.0.0/16",), []),
    "twice":               (("10.101.0.0/16", "10.101.0.0/16"),     ("10.101.0.0/16",), []),
    "twice, spelt so":     (("10.101.0.1/16", "10.101.0.0/16"),     ("10.101.0.0/16",), []),
    "one inside another":  (("10.101.1.0/24", "10.101.0.0/16"),     ("10.101.0.0/16",), []),
    "the other way round": (("10.101.0.0/16", "10.101.1.0/24"),     ("10.101.0.0/16",), []),
    "neighbours":          (HALVES, HALVES, []),
    "none":                ((),                                     (),                 []),
    "a default route":     (("0.0.0.0/0",),                         (), ["RangeNotAdmitted"]),
    "public":              (("198.51.100.0/24", SERVICES), (SERVICES,), ["RangeNotAdmitted"]),
    "without a mask":      (("10.101.0.0",),                        (), ["RangeNotAdmitted"]),
    "a mask of dots":      (("10.101.0.0/255.255.0.0",),            (), ["RangeNotAdmitted"]),
    "a zone":              (("fd00::%x/112",),                      (), ["RangeNotAdmitted"]),
    "words":               (("cluster IPs",),                       (), ["RangeNotAdmitted"]),
    "mapped":              (("::ffff:10.101.0.0/112",),             (), ["RangeNotAdmitted"]),
    "around our node":     (("172.16.0.0/24",),                     (), ["RangeTaken"]),
    "our node":            (("172.16.0.1/32",),                     (), ["RangeTaken"]),
}  # fmt: skip


@pytest.mark.parametrize(("ranges", "shared", "refused"), SHARED.values(), ids=SHARED)
def test_shared_ranges(
    ranges: tuple[str, ...], shared: tuple[str, ...], refused: list[str]
) -> None:
    """Canonical, admitted, none inside another; what is not routed is said of the cluster."""
    found = desired(service_cidrs=ranges)

    assert found.shared == shared
    of_it = [one for one in reasons(found) if one[0] == "cluster"]
    assert of_it == [("cluster", "east", reason) for reason in refused]


def test_thousands_of_ranges_are_not_looked_at() -> None:
    """The first 32 count, and one refusal says so: each costs a look at every node."""
    ranges = tuple(f"10.101.{n // 250}.{n % 250}/32" for n in range(5000))
    found = desired(service_cidrs=(*ranges, "10.101.99.0/24"))

    assert found.shared == ranges[:32]
    assert reasons(found) == [("cluster", "east", "TooManyRanges")]


@pytest.mark.parametrize("cidr", ["::ffff:10.101.0.0/112", "::ffff:a00:0/104"])
def test_addresses_mapped_into_ipv6_are_never_admitted(cidr: str) -> None:
    """Kilo would route them as the IPv4 addresses that they are, past every look at overlaps."""
    assert not RangePolicy(WIDE).admits_range(cidr)
    found = desired(admitted=WIDE, service_cidrs=(cidr,))

    assert (found.shared, reasons(found)) == ((), [("cluster", "east", "RangeNotAdmitted")])


TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *("10.1.1.0/24", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "::/0", "10.100.0.1"),
            *("10.0.1.9", "::ffff:10.100.0.1", "::ffff:10.100.0.0/112", "172.16.0.1", "fd00::1"),
            *("172.16.0.1/32", "10.1.2.9", "10.101.0.1", "10.201.0.7/16", "fe80::1%eth0"),
            *("127.0.0.1", "172.16.1.5"),
        ]
    ),
)
HOSTILE = st.builds(
    NodeAnnounced,
    public_key=st.sampled_from([key(1), key(2), key(1)[:-2] + "F=", key(1, HERE), "A" * 43 + "="]),
    endpoint=st.one_of(st.none(), TEXTS.map(lambda text: f"{text}:51820"), TEXTS),
    endpoint_ip=st.one_of(st.none(), TEXTS),
    pod_cidrs=st.lists(TEXTS, max_size=2).map(tuple),
    private_ip=st.one_of(st.none(), TEXTS),
    tunnel_ip=st.one_of(st.none(), TEXTS),
    location=st.one_of(st.sampled_from(["a", "A", "b"]), st.text(max_size=300)),
    leader=st.booleans(),
    granularity=st.sampled_from(["location", "full"]),
    ready=st.booleans(),
)


@given(
    known=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), HOSTILE, max_size=4),
    granularity=st.sampled_from(["location", "full"]),
    services=st.lists(TEXTS, max_size=3).map(tuple),
)
def test_nothing_but_declared_and_admitted_addresses_gets_into_a_peer(
    known: dict[str, NodeAnnounced], granularity: str, services: tuple[str, ...]
) -> None:
    """Whatever is announced: no address of ours, none twice, and only what Kilo takes."""
    known = {name: but(one, granularity=granularity) for name, one in known.items()}
    found = desired(known, admitted=WIDE, service_cidrs=services)
    specs = [peer.spec for peer in found.peers or ()]
    addresses = [cidr for spec in specs for cidr in spec.allowed_ips]

    assert [why_invalid(spec) for spec in specs] == [None] * len(specs)
    assert len({spec.public_key for spec in specs}) == len(specs)
    later = [*addresses, *found.shared]
    for number, cidr in enumerate(later):
        assert not overlap([cidr], ["172.16.0.1/32", "127.0.0.0/8", "169.254.0.0/16"])
        assert not overlap([cidr], later[number + 1 :])
    for cidr in addresses:
        assert not overlap(
            [cidr], ["10.0.0.0/16", "10.100.0.0/16", "10.200.0.0/16", "::ffff:0:0/96"]
        )
        single = cidr.endswith(("/32", "/128"))
        assert single or overlap([cidr], ["10.1.0.0/16"])


def test_nodes_that_peer_otherwise_are_told() -> None:
    """Kilo here, agents of ours there: no Peer for these nodes, one sentence for all of them."""
    known = dict(nodes(3))
    agents = {name: but(known[name], peering="wireguard") for name in ("n2", "n3")}
    found = desired(known | agents)

    assert [peer.segment for peer in found.peers or ()] == ["node:n1"]
    (told,) = found.refusals
    assert (told.kind, told.name, told.reason) == ("cluster", EAST, "PeeringDiffers")
    assert told.message == (
        f"node n2 (and 1 more) of cluster {EAST} peers by Heliograph's own agents, and cluster "
        f"{HERE} by Kilo: no tunnel joins them, and the rest goes on. Run the same in both "
        f"clusters (--backend of the peerer)."
    )
    ours = desire_with_agents(neighbour(known | agents), here(neighbour(known)))
    (told,) = (one for one in ours.refusals if one.reason == "PeeringDiffers")
    assert told.message.startswith(
        f"node n1 of cluster {EAST} peers by Kilo, and cluster {HERE} by"
    )
