"""What peers must do in the life of a cluster, as far as it is decided, not written."""

from __future__ import annotations

import itertools

import pytest

from heliograph.kilo.validation import why_invalid
from heliograph.kube.objects import Node
from services.peerer.operations import DeletePeer
from services.peerer.own import segment_of
from services.watcher.nodes import NodeTable as WatchedNodes
from tests.support.builders import NOW_S, kilo_node
from tests.support.builders import node as plain_node
from tests.support.peer_world import PeerWorld
from tests.support.peers import EAST, HERE, SOUTH, WEST, but, foreign, key, node, nodes, words

SERVICES = "10.101.0.0/16"
EVERYBODY = (EAST, SOUTH, WEST)
GRACE_S = 300.0
LAB = {"granularity": "location", "location": "lab"}


def peered(*exporting: str, count: int = 2) -> PeerWorld:
    """Return an importing cluster that peers with all nodes of others."""
    world = PeerWorld(*EVERYBODY)
    for cluster in exporting or EVERYBODY:
        for name, announced in nodes(count, cluster).items():  # type: ignore[arg-type]
            world.announce(cluster, name, announced)  # type: ignore[arg-type]
    world.settle()
    return world


def reasons(world: PeerWorld, cluster: str = EAST) -> list[tuple[str, str]]:
    """Return what is refused of a cluster, and why."""
    return [(one.name, one.reason) for one in world.plan(cluster).refusals]  # type: ignore[arg-type]


def holder(world: PeerWorld, cidr: str = SERVICES) -> str:
    """Return the name of the one Peer that has a range."""
    (name,) = world.kilo.claiming(cidr)
    return name


def test_12_a_node_comes_and_goes() -> None:
    """A new node is a new Peer, a deleted one's goes, and nobody else's Peer is touched."""
    world = peered()
    world.kilo.edit(laptop := foreign("laptop", key(99), "10.99.0.1/32"))
    before = dict(world.kilo.peers)

    world.announce(EAST, "n3", node(3))
    assert [words(one) for one in world.settle()] == ["create east.node.n3"]
    world.withdraw(EAST, "n3")
    assert words(world.settle()[-1]) == "delete east.node.n3"

    assert world.kilo.peers == before
    assert world.kilo.peers["laptop"].spec == laptop.spec


def watched(world: PeerWorld, table: WatchedNodes, name: str = "n1") -> None:
    """Let cluster east announce what its watcher says of a node now."""
    announced = table.announced(name)
    if announced is None:
        world.withdraw(EAST, name)
    else:
        world.announce(EAST, name, announced)


def kilos(seen_s: float = NOW_S) -> Node:
    """Return a node of cluster east as Kilo's agent leaves it."""
    said = {"internal_ip": "172.16.1.1/24", "wireguard_ip": "10.201.0.1/16", "granularity": "full"}
    made = kilo_node("n1", seen_s=seen_s, **said)
    spec = but(made.spec, pod_cidr="10.1.1.0/24", pod_cidrs=("10.1.1.0/24",))
    return but(made, spec=spec)


def test_13_a_rollout_of_kilos_agent_writes_nothing() -> None:
    """Its annotations vanish and return within the grace time."""
    world, table = PeerWorld(EAST), WatchedNodes(grace_s=GRACE_S)
    table.put(kilos(), now_s=NOW_S)
    watched(world, table)
    world.settle()

    for after_s, made in (
        (5, plain_node("n1", pod_cidrs=("10.1.1.0/24",))),
        (25, kilos(NOW_S + 25)),
    ):
        table.put(made, now_s=NOW_S + after_s)
        watched(world, table)
        assert world.settle() == []


def test_14_heartbeats_write_nothing() -> None:
    """They are no messages; and the same message once more is no write."""
    world, table = PeerWorld(EAST), WatchedNodes(grace_s=GRACE_S)
    table.put(kilos(), now_s=NOW_S)
    watched(world, table)
    world.settle()
    told = table.announced("n1")

    for beat in range(1, 10):
        table.put(kilos(NOW_S + 30 * beat), now_s=NOW_S + 30 * beat)
        assert table.announced("n1") == told
        watched(world, table)
        assert world.settle() == []


def test_15_a_silent_node_is_withdrawn_after_its_grace_time() -> None:
    """First its claim moves, and its Peer stays; then the Peer goes, and none of it is left."""
    world = peered(EAST)
    silent = holder(world).removeprefix("east.node.")
    world.announce(EAST, silent, but(nodes(2)[silent], ready=False))

    assert not any(isinstance(one, DeletePeer) for one in world.settle())
    assert holder(world) != f"east.node.{silent}"
    assert f"east.node.{silent}" in world.kilo.peers

    world.withdraw(EAST, silent)
    assert [words(one) for one in world.settle()][-1] == f"delete east.node.{silent}"


def test_15_a_node_that_is_back_takes_nothing_from_the_new_holder() -> None:
    """A claim that has moved stays where it is."""
    world = peered(EAST)
    silent = holder(world).removeprefix("east.node.")
    world.announce(EAST, silent, but(nodes(2)[silent], ready=False))
    world.settle()
    moved_to = holder(world)

    world.announce(EAST, silent, nodes(2)[silent])
    world.settle()

    assert holder(world) == moved_to


def test_16_a_new_key_is_one_update() -> None:
    """Of the same object; at no time do two Peers have one key."""
    world = peered()
    world.kilo.watched = lambda: world.kilo.doubled_keys() == [] or pytest.fail("a key is doubled")
    world.announce(EAST, "n1", node(1, public_key=key(70)))

    assert [words(one) for one in world.settle()] == ["replace east.node.n1"]
    assert world.kilo.peers["east.node.n1"].spec.public_key == key(70)


def test_17_a_new_leader_is_one_update() -> None:
    """The Peer is called by its location, and has the other node's key and endpoint now."""
    world = PeerWorld(EAST)
    for name, announced in nodes(2, **LAB).items():
        world.announce(EAST, name, announced)
    world.settle()
    world.announce(EAST, "n2", node(2, leader=True, **LAB))

    assert [words(one) for one in world.settle()] == ["replace east.location.lab"]
    spec = world.kilo.peers["east.location.lab"].spec
    assert (spec.public_key, spec.endpoint.dns_or_ip.ip) == (key(2), "203.0.113.22")  # type: ignore[union-attr]
    assert holder(world) == "east.location.lab"


def test_17_a_claim_moves_by_addition_first() -> None:
    """The new Peer has it before the old one loses it, and Kilo keeps exactly one of the two."""
    world = PeerWorld(EAST)
    for name, place in (("n1", "lab"), ("n2", "attic")):
        number = int(name[1:])
        world.announce(EAST, name, node(number, granularity="location", location=place))
    world.settle()
    old = holder(world)
    leader = {"east.location.lab": ("n1", "lab"), "east.location.attic": ("n2", "attic")}[old]
    silent = node(int(leader[0][1:]), granularity="location", location=leader[1], ready=False)
    claiming: list[list[str]] = []
    world.kilo.watched = lambda: claiming.append(world.kilo.claiming(SERVICES))

    world.announce(EAST, leader[0], silent)
    world.settle()

    assert all(claiming)
    both = ["east.location.attic", "east.location.lab"]
    assert both in claiming
    assert claiming[-1] == [name for name in both if name != old]


FAULTS = {
    "a key of zeros": {"public_key": "A" * 43 + "="},
    "no pods": {"pod_cidrs": ()},
    "pods in words": {"pod_cidrs": ("here",)},
    "an endpoint in words": {"endpoint": "Över There:51820"},
    "a port of nobody": {"endpoint": "203.0.113.1:65536"},
    "a key of another node": {"public_key": key(1)},
}


@pytest.mark.parametrize("fields", FAULTS.values(), ids=FAULTS)
def test_18_a_fault_in_one_node_blocks_no_other(fields: dict[str, object]) -> None:
    """Every Peer that is written passes Kilo's validation, and the others are written."""
    world = PeerWorld(EAST)
    for name, announced in (nodes(3) | {"n2": node(2, **fields)}).items():
        world.announce(EAST, name, announced)
    world.settle()

    assert {segment_of(one) for one in world.kilo.peers.values()} == {"node:n1", "node:n3"}
    assert all(why_invalid(one.spec) is None for one in world.kilo.peers.values())
    assert [name for name, _ in reasons(world)] == ["n2"]


OVERLAPS = {
    # ranges of cluster west                               with whom
    "pods, equal":        ({"pod_cidrs": ("10.1.0.0/16",)},        "east"),
    "pods, inside":       ({"pod_cidrs": ("10.1.7.0/24",)},        "east"),
    "pods, around":       ({"pod_cidrs": ("10.0.0.0/15",)},        "here"),
    "pods in Services":   ({"pod_cidrs": ("10.101.9.0/24",)},      "east"),
    "Services, inside":   ({"service_cidrs": ("10.101.0.0/24",)},  "east"),
    "Services of ours":   ({"service_cidrs": ("10.100.0.0/17",)},  "here"),
    "tunnels, equal":     ({"tunnel_cidrs": ("10.201.0.0/16",)},   "east"),
    "tunnels in pods":    ({"tunnel_cidrs": ("10.1.2.0/24",)},     "east"),
    "IPv6, around":       ({"pod_cidrs": ("fd00:1::/32",)},        "east"),
}  # fmt: skip


@pytest.mark.parametrize(("ranges", "whose"), OVERLAPS.values(), ids=OVERLAPS)
def test_19_overlaps_are_found_before_anything_is_written(
    ranges: dict[str, tuple[str, ...]], whose: str
) -> None:
    """The cluster that came later has no Peers; the refusal names both, and the others go on."""
    world = peered(EAST)
    pods = ("10.1.0.0/16", "fd00:1:2::/48")
    world.declare(EAST, pod_cidrs=pods)
    world.declare(WEST, **ranges)
    for name, announced in nodes(2, WEST).items():
        world.announce(WEST, name, announced)

    assert world.settle() == []
    assert reasons(world, WEST) == [("west", "RangeOverlap")]
    assert f"Cluster west is refused in cluster here: its {next(iter(ranges))[:-6]}" in (
        message := world.plan(WEST).refusals[0].message
    )
    assert (f"of cluster {whose}" in message) or (f"{whose}'s own" in message)
    assert [*reasons(world, EAST), *reasons(world, SOUTH)] == []


def test_19_a_colliding_node_address_refuses_that_node_only() -> None:
    """South's node has the address of one of ours; its other node goes on."""
    world = peered(SOUTH)
    world.announce(SOUTH, "n1", node(1, SOUTH, private_ip="172.16.0.2"))
    world.settle()

    assert reasons(world, SOUTH) == [("n1", "AddressTaken")]
    assert list(world.kilo.peers) == ["south.node.n2"]
    assert holder(world, "10.102.0.0/16") == "south.node.n2"


def test_20_equal_node_names_in_three_clusters_are_three_peers() -> None:
    """Each with its own key."""
    world = peered(count=1)

    assert sorted(world.kilo.peers) == ["east.node.n1", "south.node.n1", "west.node.n1"]
    assert len({peer.spec.public_key for peer in world.kilo.peers.values()}) == 3


@pytest.mark.parametrize("first", [None, *EVERYBODY])
def test_21_a_restart_writes_nothing(first: str | None) -> None:
    """Whoever is heard first: what is not heard yet stays, and what is heard is as it stands."""
    world = peered()
    world.announce(EAST, "n1", node(1, public_key=key(71)))
    world.settle()
    before = dict(world.kilo.peers)

    world.restart()
    if first is not None:
        heard = world.picture.tables[first]  # type: ignore[index]
        world.picture.tables = {HERE: world.picture.tables[HERE], first: heard}  # type: ignore[dict-item]
        world.picture.changed()

    assert world.settle() == []
    assert world.kilo.peers == before


def test_21_a_restart_in_the_middle_of_a_handover_ends_it() -> None:
    """After each phase the peerer starts anew: the same Peers in the end."""
    undisturbed, world = peered(EAST, count=3), peered(EAST, count=3)
    gone = holder(world).removeprefix("east.node.")
    for one in (undisturbed, world):
        one.withdraw(EAST, gone)
    undisturbed.settle()

    while world.step(EAST):
        world.restart()

    specs = ({n: p.spec for n, p in one.kilo.peers.items()} for one in (undisturbed, world))
    assert next(specs) == next(specs)


def test_22_foreign_peers_win_and_are_never_touched() -> None:
    """Whatever they hold of ours, and whatever they are called."""
    world = peered(EAST)
    held = ("10.1.1.0/25", "172.16.1.2/32", SERVICES)
    for number, cidr in enumerate(held):
        world.kilo.edit(foreign(("aa", "east.node.x", "zz")[number], key(90 + number), cidr))
    world.settle()

    assert reasons(world) == [
        ("aa", "RangeTaken"),
        ("east.node.x", "RangeTaken"),
        ("zz", "RangeTaken"),
    ]
    ours = [peer.spec.allowed_ips for peer in world.kilo.peers.values() if segment_of(peer)]
    assert [cidr for cidr in itertools.chain.from_iterable(ours) if cidr in held] == []
    for name in ("aa", "east.node.x", "zz"):
        del world.kilo.peers[name]
    world.settle()
    assert reasons(world) == []
    assert holder(world).startswith("east.node.")
