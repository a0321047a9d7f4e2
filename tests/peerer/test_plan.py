"""From the Peers that are to those that should be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest

from heliograph.admission.spans import spans_of
from heliograph.kilo.peer import Peer
from heliograph.marks import SOURCE_CLUSTER_LABEL
from services.peerer.desired import DesiredPeers, desire_peers
from services.peerer.names import peer_name
from services.peerer.operations import Operation, Plan
from services.peerer.own import OwnPeers, segment_of
from services.peerer.plan import plan_peers, trim_refused
from tests.support.kilo_model import KiloModel, Order, in_order
from tests.support.peers import (
    EAST,
    HERE,
    SOUTH,
    WEST,
    Nodes,
    but,
    foreign,
    here,
    key,
    neighbour,
    node,
    nodes,
    ours,
    spec,
    words,
)

SERVICES = "10.101.0.0/16"
LAB = {"granularity": "location", "location": "lab"}
LONG = "n" * 253


def desired(known: Nodes, **ranges: Any) -> DesiredPeers:  # noqa: ANN401
    """Return what is desired of cluster east with these nodes."""
    east = neighbour(known, **ranges)
    return desire_peers(east, here(east))


def planning(known: Nodes, **rejected: Any) -> Any:  # noqa: ANN401
    """Return what plans the Peers of cluster east, for these nodes."""
    wanted = desired(known)
    return lambda own: plan_peers(wanted, own, HERE, rejected or None)


def backwards(operations: tuple[Operation, ...]) -> Iterable[Operation]:
    """Carry operations of one phase out in the other order."""
    return reversed(operations)


def settled(known: Nodes, *others: Peer) -> KiloModel:
    """Return an importing cluster in which all is as it should be."""
    model = KiloModel(*others)
    model.settle(planning(known))
    return model


def by_segment(model: KiloModel) -> dict[str, Peer]:
    """Return the Peers of ours by the segment that they stand for."""
    return {segment_of(peer): peer for peer in model.peers.values() if segment_of(peer)}


def holder(model: KiloModel) -> str:
    """Return the segment of the Peer that has the Services; there is exactly one."""
    (name,) = model.claiming(SERVICES)
    return segment_of(model.peers[name])


def phases(plan: Plan) -> tuple[list[str], list[str], list[str]]:
    """Return what is done in each phase, in words."""
    return tuple([words(o) for o in p] for p in (plan.additions, plan.handovers, plan.deletions))  # type: ignore[return-value]


N2 = nodes(2)
THREE = nodes(3)
SERVED = holder(settled(N2)).removeprefix("node:")
OTHER = "n2" if SERVED == "n1" else "n1"
MOVED = {**N2, OTHER: but(N2[OTHER], endpoint="203.0.113.99:51820")}
REKEYED = {**N2, OTHER: but(N2[OTHER], public_key=key(77))}
SILENT = {**N2, SERVED: but(N2[SERVED], ready=False)}
RENAMED = {("n9" if n == OTHER else n): one for n, one in N2.items()}

CASES = {
    # before, after             additions                       handovers             deletions
    "nothing, nothing":   ({}, {},   [],                                          [], []),
    "new nodes":          ({}, N2,   ["create east.node.n1", "create east.node.n2"], [], []),
    "nothing changed":    (N2, N2,   [],                                          [], []),
    "a third node":       (N2, THREE, ["create east.node.n3"],                    [], []),
    "an endpoint moved":  (N2, MOVED, [f"replace east.node.{OTHER}"],             [], []),
    "a new key":          (N2, REKEYED, [f"replace east.node.{OTHER}"],           [], []),
    "a new name":         (N2, RENAMED, [f"replace east.node.{OTHER}"],           [], []),
    "all left":           (N2, {}, [], [], ["delete east.node.n1", "delete east.node.n2"]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "adds", "hands", "deletes"), CASES.values(), ids=CASES)
def test_the_first_plan(
    before: Nodes, after: Nodes, adds: list[str], hands: list[str], deletes: list[str]
) -> None:
    """Only the difference is planned, in phases."""
    plan = planning(after)(settled(before).own())

    assert phases(plan) == (adds, hands, deletes)


ORDERS = {"in order": in_order, "backwards": backwards}
LAB_A = {"a": node(1, **LAB), "b": node(2, **LAB)}
LAB_B = {**LAB_A, "b": but(LAB_A["b"], leader=True)}
SWAPPED = {"n1": but(N2["n1"], public_key=key(2)), "n2": but(N2["n2"], public_key=key(1))}
CHAIN = {"n1": but(N2["n1"], public_key=key(2)), "n2": but(N2["n2"], public_key=key(3))}
LOCATED = {"n1": node(1, **LAB), "n2": node(2, granularity="location", location="Büro 2.")}
ALL_SILENT = {n: but(one, ready=False) for n, one in N2.items()}
PODS_SWAPPED = {
    "n1": but(N2["n1"], pod_cidrs=N2["n2"].pod_cidrs),
    "n2": but(N2["n2"], pod_cidrs=N2["n1"].pod_cidrs),
}
CHANGES = {
    # what happens                       before, after
    "the holder leaves":                 (THREE, {n: o for n, o in THREE.items() if n != SERVED}),
    "the holder falls silent":           (N2, SILENT),
    "all but one leave":                 (THREE, {OTHER: THREE[OTHER]}),
    "everybody is replaced":             (N2, {f"m{n}": node(n) for n in (3, 4)}),
    "new names and new keys":            (N2, {"m1": but(node(1), public_key=key(51)),
                                               "m2": but(node(2), public_key=key(52))}),
    "new names, the same keys":          (N2, {"m1": node(1), "m2": node(2)}),
    "names are exchanged":               (N2, {"n1": node(2), "n2": node(1)}),
    "keys are exchanged":                (N2, SWAPPED),
    "keys move on":                      (N2, CHAIN),
    "a new key for the holder":          (N2, {**N2, SERVED: but(N2[SERVED], public_key=key(77))}),
    "another leader":                    (LAB_A, LAB_B),
    "from full to location":             (N2, LOCATED),
    "from location to full":             (LOCATED, N2),
    "pods are exchanged":                (N2, PODS_SWAPPED),
    "all are silent":                    (N2, ALL_SILENT),
    "nobody was heard, and one is back": (ALL_SILENT, {**N2, "n1": ALL_SILENT["n1"]}),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_never_a_moment_without_a_holder_or_with_a_key_twice(
    before: Nodes, after: Nodes, order: Order
) -> None:
    """Whatever changes, after each single step: the Services have a holder, and keys differ."""
    model, seen = settled(before), []

    def look() -> None:
        assert model.doubled_keys() == []
        seen.append(model.holders()[SERVICES])

    model.watched = look
    model.settle(planning(after), order)

    assert len(model.claiming(SERVICES)) == 1
    health = {peer.segment: peer.healthy for peer in desired(after).peers or ()}
    assert health[holder(model)] or not any(health.values())
    assert set(by_segment(model)) == set(health)
    keys = {segment: peer.spec.public_key for segment, peer in by_segment(model).items()}
    assert keys == {p.segment: p.spec.public_key for p in desired(after).peers or ()}
    assert model.settle(planning(after)) == []


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_range_is_given_before_it_is_taken(order: Order) -> None:
    """The holder falls silent: the other Peer gets the Services first, then it loses them."""
    model = settled(N2)
    claiming: list[set[str]] = []
    model.watched = lambda: claiming.append(set(model.claiming(SERVICES)))

    done = model.settle(planning(SILENT), order)

    old, new = f"east.node.{SERVED}", f"east.node.{OTHER}"
    assert {old, new} in claiming
    assert claiming[-1] == {new}
    assert words(done[-1]) == f"replace {old}"


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_new_key_is_one_update(order: Order) -> None:
    """Of the same object: never two with one key, never a deletion."""
    model = settled(N2)
    after = {**N2, SERVED: but(N2[SERVED], public_key=key(77))}

    (operation,) = model.settle(planning(after), order)

    assert words(operation) == f"replace east.node.{SERVED}"
    assert model.peers[f"east.node.{SERVED}"].spec.public_key == key(77)


def test_a_new_leader_is_one_update() -> None:
    """A Peer is called by its location, so it stays the same object."""
    model = settled(LAB_A)
    (operation,) = model.settle(planning(LAB_B))

    assert words(operation) == "replace east.location.lab"
    assert model.peers["east.location.lab"].spec.public_key == key(2)


def test_a_renamed_node_is_one_update() -> None:
    """Objects follow keys; what it stands for is in its annotation."""
    model = settled(N2)
    (operation,) = model.settle(planning(RENAMED))

    assert words(operation) == f"replace east.node.{OTHER}"
    assert set(by_segment(model)) == {f"node:{SERVED}", "node:n9"}


def test_exchanged_keys_are_two_updates() -> None:
    """Each object keeps its key and stands for the other node from now on."""
    model = settled(N2)
    done = model.settle(planning(SWAPPED))

    assert sorted({words(one) for one in done}) == ["replace east.node.n1", "replace east.node.n2"]
    assert segment_of(model.peers["east.node.n1"]) == "node:n2"


def test_a_new_node_under_an_old_name_gets_a_name_of_its_own() -> None:
    """n1 became n9 and its Peer kept its name; the new n1 cannot have it."""
    model = settled(N2)
    model.settle(planning({"n9": node(1), "n2": node(2)}))
    model.settle(planning({"n9": node(1), "n2": node(2), "n1": node(3)}))

    name = peer_name(EAST, "node:n1", key(3))
    assert sorted(model.peers) == sorted(["east.node.n1", "east.node.n2", name])


def test_names_that_somebody_else_has_are_left_to_them() -> None:
    """The plain one, the next one too: what stands there is never written over."""
    taken = ["east.node.n1", peer_name(EAST, "node:n1", key(1))]
    others = [foreign(name, key(90 + n), f"10.99.0.{n}/32") for n, name in enumerate(taken)]
    model = settled(nodes(1), *others)

    assert len(model.peers) == 3
    assert [model.peers[name] for name in taken] == others
    assert by_segment(model)["node:n1"].metadata.name.startswith("east.node.n1.")


def test_two_new_peers_never_share_a_name() -> None:
    """A location may be called what another one's name becomes with its hash."""
    plain = peer_name(EAST, "location:Lab").removeprefix("east.location.")
    known = {
        "n1": node(1, granularity="location", location="Lab"),
        "n2": node(2, granularity="location", location=plain),
    }
    plan = planning(known)(OwnPeers())

    assert len({words(operation) for operation in plan.additions}) == 2


def test_names_of_253_characters() -> None:
    """They differ in the last character only; each is a Peer with a name that Kubernetes takes."""
    known = {f"{LONG[:-1]}{last}": node(n) for n, last in enumerate("abc", start=1)}
    model = settled(known)

    assert len(model.peers) == 3
    assert all(len(name) <= 253 for name in model.peers)
    assert model.settle(planning(known)) == []


def test_equal_names_in_three_clusters() -> None:
    """Each has its own Peers, and nobody's plan touches another one's."""
    model = KiloModel()
    everyone = [neighbour(nodes(2, cluster), cluster) for cluster in (EAST, SOUTH, WEST)]
    for one in everyone:
        wanted = desire_peers(one, here(*everyone))
        model.settle(lambda own, wanted=wanted: plan_peers(wanted, own, HERE))  # type: ignore[misc]

    clusters = ("east", "south", "west")
    assert sorted(model.peers) == [f"{c}.node.n{n}" for c in clusters for n in (1, 2)]
    assert [len(model.claiming(f"10.10{n}.0.0/16")) for n in (1, 2, 3)] == [1, 1, 1]


EDITS = {
    # what somebody does to a Peer of ours
    "other ranges":       lambda p: but(p, spec=but(p.spec, allowed_ips=("10.9.0.0/16",))),
    "no ranges":          lambda p: but(p, spec=but(p.spec, allowed_ips=())),
    "another endpoint":   lambda p: but(p, spec=but(p.spec, endpoint=None)),
    "another key":        lambda p: but(p, spec=but(p.spec, public_key=key(55))),
    "no key":             lambda p: but(p, spec=but(p.spec, public_key="")),
    "another spelling":   lambda p: but(p, spec=but(p.spec, public_key=p.spec.public_key + "\n")),
    "the other one's key": lambda p: but(p, spec=but(p.spec, public_key=key(
        2 if p.spec.public_key == key(1) else 1))),
    "a keepalive":        lambda p: but(p, spec=but(p.spec, persistent_keepalive=5)),
    "no segment":         lambda p: but(p, metadata=but(p.metadata, annotations={})),
    "another segment":    lambda p: but(p, metadata=but(
        p.metadata, annotations={"heliograph.io/segment": "node:n7"})),
}  # fmt: skip


@pytest.mark.parametrize("name", ["n1", "n2"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_peer_is_repaired_in_place(edit: Any, name: str) -> None:  # noqa: ANN401
    """No Peer is deleted or made for it."""
    model = settled(N2)
    before = {n: (p.spec, segment_of(p)) for n, p in model.peers.items()}
    model.edit(edit(model.peers[f"east.node.{name}"]))

    done = model.settle(planning(N2))

    assert {words(operation).partition(" ")[0] for operation in done} == {"replace"}
    after = {n: (p.spec, segment_of(p)) for n, p in model.peers.items()}
    if SERVICES in before[f"east.node.{name}"][0].allowed_ips:  # its claim may have moved
        assert len(model.claiming(SERVICES)) == 1
        assert {n: p.public_key for n, (p, _) in after.items()} == {
            n: p.public_key for n, (p, _) in before.items()
        }
    else:
        assert after == before


def test_a_deleted_peer_is_made_again() -> None:
    """And a deleted holder's range is somebody's at once."""
    model = settled(N2)
    model.peers.pop(f"east.node.{SERVED}")

    model.settle(planning(N2))

    assert sorted(model.peers) == ["east.node.n1", "east.node.n2"]
    assert len(model.claiming(SERVICES)) == 1


def test_what_is_unclear_is_left_as_it_is() -> None:
    """A mesh that cannot be computed changes no Peer, and says why."""
    model = settled(N2)
    unclear = {**N2, "n1": but(N2["n1"], granularity="location")}

    plan = planning(unclear)(model.own())

    assert plan.operations == ()
    assert [refusal.reason for refusal in plan.refusals] == ["GranularityUnknown"]


def test_a_node_that_moved_to_another_cluster_waits_for_its_key() -> None:
    """Its old cluster's Peer goes first; meanwhile the plan says for whom it waits."""
    model = settled(N2)
    moved = neighbour({"m": node(1, SOUTH, public_key=key(1))}, SOUTH)
    wanted = desire_peers(moved, here(moved))
    south = lambda own: plan_peers(wanted, own, HERE)  # noqa: E731

    plan = south(model.own())
    assert (plan.operations, plan.awaited) == ((), {EAST})
    (refusal,) = plan.refusals
    assert (refusal.exporting, refusal.name, refusal.reason) == (
        *(SOUTH, "east.node.n1"),
        "KeyInUse",
    )
    assert "of node m of cluster south" in refusal.message

    model.settle(planning({"n2": node(2)}))
    model.settle(south)
    assert sorted(model.peers) == ["east.node.n2", "south.node.m"]
    assert south(model.own()).awaited == frozenset()


def test_two_clusters_that_exchange_nodes_do_not_wait_for_ever() -> None:
    """Each gives the key up that none of its nodes has any more."""
    model = KiloModel()
    here_is = [neighbour(nodes(1)), neighbour(nodes(1, SOUTH), SOUTH)]
    exchanged = [
        neighbour({"n1": node(1, public_key=key(1, SOUTH))}),
        neighbour({"n1": node(1, SOUTH, public_key=key(1))}, SOUTH),
    ]
    for everyone in (here_is, exchanged, exchanged):
        for one in everyone:
            wanted = desire_peers(one, here(*everyone))
            model.settle(lambda own, wanted=wanted: plan_peers(wanted, own, HERE))  # type: ignore[misc]
            assert model.doubled_keys() == []

    keys = {name: peer.spec.public_key for name, peer in model.peers.items()}
    assert keys == {"east.node.n1": key(1, SOUTH), "south.node.n1": key(1)}


def test_a_peer_whose_label_somebody_changed_is_not_doubled() -> None:
    """It is another cluster's now, which deletes it; then ours is made again."""
    model = settled(N2)
    stray = model.peers["east.node.n1"]
    labels = {**stray.metadata.labels, SOURCE_CLUSTER_LABEL: "south"}
    model.edit(but(stray, metadata=but(stray.metadata, labels=labels)))

    plan = planning(N2)(model.own())
    assert plan.awaited == {SOUTH}
    assert not any(words(operation).startswith("create") for operation in plan.operations)

    nothing = DesiredPeers(exporting=SOUTH, peers=())
    model.settle(planning(N2))
    model.settle(lambda own: plan_peers(nothing, own, HERE))
    model.settle(planning(N2))
    assert sorted(model.peers) == ["east.node.n1", "east.node.n2"]
    assert len(model.claiming(SERVICES)) == 1


def test_a_peer_made_by_hand_beside_ours_is_reported_and_both_are_left() -> None:
    """Somebody doubled our key: what stands of ours keeps what it has, and nobody else gets it."""
    model = settled(N2)
    standing = model.peers[f"east.node.{SERVED}"]
    byhand = foreign("byhand", N2[SERVED].public_key, "10.99.0.1/32")
    model.edit(byhand)

    assert model.settle(planning({**THREE, SERVED: but(N2[SERVED], leader=True)})) != []

    assert model.peers[f"east.node.{SERVED}"] == standing
    assert len(model.claiming(SERVICES)) == 1
    (refusal,) = planning(THREE)(model.own()).refusals
    assert (refusal.name, refusal.reason) == ("byhand", "ForeignPeer")


def test_what_an_api_server_rejects_is_not_tried_again() -> None:
    """Its Peer stays as it is, with what it has; a new spec is tried."""
    model = settled(N2)
    moved = {**N2, SERVED: but(N2[SERVED], endpoint="203.0.113.99:51820")}
    specs = {peer.segment: peer.spec for peer in desired(moved).peers or ()}
    segment = f"node:{SERVED}"
    rejecting = planning(moved, **{segment: specs[segment]})

    assert rejecting(model.own()).operations == ()
    assert len(planning(moved, **{segment: spec(5)})(model.own()).operations) == 1
    assert len(model.claiming(SERVICES)) == 1


def test_what_was_never_taken_is_given_nothing() -> None:
    """A Peer that the API server does not take cannot hold the Services."""
    specs = {peer.segment: peer.spec for peer in desired(N2).peers or ()}
    model, segment = KiloModel(), f"node:{SERVED}"
    model.settle(planning(N2, **{segment: specs[segment]}))

    assert sorted(model.peers) == [f"east.node.{OTHER}"]
    assert holder(model) == f"node:{OTHER}"


def test_a_refused_cluster_gives_others_addresses_back() -> None:
    """Nothing else of it changes; a Peer that would be left without a range goes."""
    kept = ours("east.node.n1", "node:n1", spec(1, "10.1.1.0/24", "10.2.9.0/24", SERVICES))
    whole = ours("east.node.n2", "node:n2", spec(2, "10.2.0.0/24", "10.2.1.0/24"))
    same = ours("east.node.n3", "node:n3", spec(3, "10.1.3.0/24", "no range"))
    own = KiloModel(kept, whole, same).own()

    plan = trim_refused(own, EAST, spans_of(("10.2.0.0/16",)))

    assert phases(plan) == ([], ["replace east.node.n1"], ["delete east.node.n2"])
    assert plan.handovers[0].peer.spec.allowed_ips == ("10.1.1.0/24", SERVICES)
    assert trim_refused(own, SOUTH, spans_of(("10.0.0.0/8",))) == Plan()


def test_the_phases_follow_one_another() -> None:
    """Additions, handovers, deletions: in this order."""
    plan = planning({OTHER: N2[OTHER]})(settled(N2).own())

    kinds = [words(operation).partition(" ")[0] for operation in plan.operations]
    assert kinds == ["replace", "delete"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_additions_may_come_in_any_order(order: tuple[int, ...]) -> None:
    """Three nodes, new keys and a new holder at once: after each step all is well."""
    model = settled(THREE)
    after = {n: but(one, public_key=key(40 + k)) for k, (n, one) in enumerate(THREE.items())}
    after[SERVED] = but(after[SERVED], ready=False)

    def look() -> None:
        assert SERVICES in model.holders()
        assert model.doubled_keys() == []

    model.watched = look
    model.settle(planning(after), lambda ops: [ops[n] for n in order if n < len(ops)])
    assert holder(model) != f"node:{SERVED}"
