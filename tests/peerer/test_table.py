from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.digest import Digest, fingerprint
from heliograph.contract.messages import NodeAnnounced, NodeWithdrawn, ServiceWithdrawn, encode
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.evidence import StaleEpoch
from services.peerer.table import CLUSTER_ITSELF, NodeTable
from tests.support.node_exporter import NodeExporter, fold_all
from tests.support.peers import ANNOUNCED, EAST, but, node

N1, N2 = node(1), node(2)
ITSELF = Subject(cluster=EAST, kind=Kind.CLUSTER, name=EAST)


def exporter_of(**known: NodeAnnounced) -> NodeExporter:
    """Return a cluster that announces nodes, and then itself."""
    exporter = NodeExporter()
    for name, announced in known.items():
        exporter.announce(name, announced)
    exporter.lease()
    return exporter


def confirmed(exporter: NodeExporter) -> NodeTable:
    """Return a table that has read all, and was told that it has."""
    table = NodeTable(EAST)
    exporter.lease()
    exporter.replay_into(table)
    assert (table.complete, table.known) == (True, True)
    return table


def test_a_replay_is_confirmed_by_the_digest_that_ends_it() -> None:
    """Until then nothing is known; then all nodes are, and the cluster itself is touched."""
    exporter, table = exporter_of(n1=N1, n2=N2), NodeTable(EAST)
    assert (table.known, table.size, table.announced) == (False, 0, None)

    touched = exporter.replay_into(table)

    assert touched == {CLUSTER_ITSELF, "n1", "n2"}
    assert (table.known, table.complete, table.size) == (True, True, 2)
    assert table.nodes == {"n1": N1, "n2": N2}


def test_a_cluster_without_nodes_is_known_too() -> None:
    """The digest of nothing confirms nothing to be all that there is."""
    table = NodeTable(EAST)

    assert exporter_of().replay_into(table) == {CLUSTER_ITSELF}
    assert (table.known, table.nodes) == (True, {})


def test_half_of_the_nodes_are_not_shown() -> None:
    """Addresses in a mesh are positions: before all nodes were heard, none is there."""
    exporter, table = NodeExporter(), NodeTable(EAST)
    table.begin_replay()

    assert exporter.announce("n1", N1).fold_into(table) == set()
    assert exporter.lease(digests=False).fold_into(table) == {CLUSTER_ITSELF}
    assert table.end_replay() == set()
    assert exporter.announce("n2", N2).fold_into(table) == set()

    assert (table.known, table.nodes) == (False, {})
    assert exporter.lease().fold_into(table) == {CLUSTER_ITSELF, "n1", "n2"}
    assert table.nodes == {"n1": N1, "n2": N2}


def test_nothing_is_shown_before_the_first_replay() -> None:
    """What comes before a replay has begun is a part of all nodes, too."""
    exporter, table = NodeExporter(), NodeTable(EAST)

    assert exporter.announce("n1", N1).fold_into(table) == set()
    assert table.nodes == {}


def test_a_digest_of_the_past_confirms_nothing() -> None:
    """A change after the cluster's own message: only the next one can speak of the whole."""
    exporter, table = exporter_of(n1=N1), NodeTable(EAST)
    exporter.announce("n2", N2)

    exporter.replay_into(table)
    assert not table.known

    exporter.lease().fold_into(table)
    assert table.nodes == {"n1": N1, "n2": N2}


def test_changes_count_at_once() -> None:
    """When all nodes are known, each message changes one of them."""
    exporter = exporter_of(n1=N1)
    table = confirmed(exporter)
    moved = but(N1, endpoint="203.0.113.99:51820")

    assert exporter.announce("n2", N2).fold_into(table) == {"n2"}
    assert exporter.announce("n1", moved).fold_into(table) == {"n1"}
    assert exporter.withdraw("n2").fold_into(table) == {"n2"}
    assert exporter.withdraw("unheard").fold_into(table) == {"unheard"}
    assert table.nodes == {"n1": moved}


def test_what_a_confirmed_replay_does_not_bring_is_gone() -> None:
    """n1 was withdrawn while we were away, n2 changed, n3 came; n4 is what it was."""
    exporter = exporter_of(n1=N1, n2=N2, n4=node(4))
    table = confirmed(exporter)
    changed = but(N2, leader=True)
    exporter = exporter_of(n2=changed, n3=node(3), n4=node(4))

    assert exporter.replay_into(table) == {"n1", "n2", "n3"}
    assert table.nodes == {"n2": changed, "n3": node(3), "n4": node(4)}


LOSSES = {
    # how                       messages replayed, whether the stream was lost before
    "an empty stream":           (0, True),
    "an interrupted replay":     (1, False),
    "a stream refilled by half": (None, True),
}  # fmt: skip


@pytest.mark.parametrize(("limit", "lost"), LOSSES.values(), ids=LOSSES)
def test_nothing_is_removed_without_evidence(limit: int | None, *, lost: bool) -> None:
    """An empty, half-filled or lost stream removes no node, and changes none."""
    exporter = exporter_of(n1=N1, n2=N2)
    table = confirmed(exporter)
    honest = exporter.lease()
    if lost:
        exporter.stream.clear()
        exporter.announce("n2", but(N2, leader=True))

    exporter.replay_into(table, limit)
    table.end_replay()
    honest.fold_into(table)

    assert table.nodes == {"n1": N1, "n2": N2}
    assert (table.known, table.complete) == (True, False)


def test_two_digests_that_do_not_match_raise_doubt() -> None:
    """The stream must be replayed then."""
    exporter = exporter_of(n1=N1)
    table = confirmed(exporter)
    exporter.announce("n2", N2)

    exporter.lease().fold_into(table)
    assert not table.doubtful
    exporter.lease().fold_into(table)

    assert (table.doubtful, table.nodes) == (True, {"n1": N1})


def test_changes_during_a_replay_wait_for_its_end() -> None:
    """A node that joins while the stream is read again appears with all the others."""
    exporter = exporter_of(n1=N1)
    table = confirmed(exporter)
    table.begin_replay()
    exporter.announce("n2", N2)
    assert fold_all(table, exporter.stream.values()) == set()
    assert table.nodes == {"n1": N1}

    exporter.lease().fold_into(table)

    assert table.end_replay() == {"n2"}
    assert table.nodes == {"n1": N1, "n2": N2}


FACTS = {
    # what changes                                              whether the cluster is touched
    "nothing: a lease":  ({},                                   False),
    "its version":       ({"version": "2", "lease_s": 5.0},     False),
    "Services' ranges":  ({"service_cidrs": ("10.99.0.0/16",)}, True),
    "pods' ranges":      ({"pod_cidrs": ("10.99.0.0/16",)},     True),
    "tunnels' ranges":   ({"tunnel_cidrs": ("10.99.0.0/16",)},  True),
    "how it peers":      ({"peering": "none"},                  True),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "touched"), FACTS.values(), ids=FACTS)
def test_a_changed_cluster_is_touched_itself(changes: dict[str, object], *, touched: bool) -> None:
    """Its ranges and the way it peers matter for all its Peers; leases and digests do not."""
    exporter = exporter_of(n1=N1)
    table = confirmed(exporter)

    told = exporter.lease(announced=but(ANNOUNCED, **changes)).fold_into(table)

    assert told == ({CLUSTER_ITSELF} if touched else set())
    assert (table.nodes, table.announced.version) == ({"n1": N1}, changes.get("version", ""))  # type: ignore[union-attr]


def test_a_cluster_that_left_has_no_nodes_and_that_is_certain() -> None:
    """Its departure touches all that it had, and itself."""
    exporter = exporter_of(n1=N1, n2=N2)
    table = confirmed(exporter)

    touched = fold_all(table, exporter.leave())

    assert touched == {CLUSTER_ITSELF, "n1", "n2"}
    assert (table.left_at, table.complete, table.known) == (2, True, True)
    assert (table.nodes, table.announced) == ({}, None)


def test_what_a_cluster_published_before_it_left_does_not_count() -> None:
    """Not in this process, and not in the next one that was told when it left."""
    exporter = exporter_of(n1=N1)
    stale = list(exporter.stream.values())
    table = confirmed(exporter)
    fold_all(table, exporter.leave())
    for told in (table, NodeTable(EAST, left_at=2)):
        told.begin_replay()
        assert fold_all(told, stale) == set()
        told.fold_unreadable(exporter.subject("n1"), b"?", 1)

        assert (told.end_replay(), told.nodes, told.left_at) == (set(), {}, 2)
        assert told.known


def test_a_cluster_that_comes_back_is_heard_whole_first() -> None:
    """Its nodes come one after another; a mesh of the first of them would be a wrong one."""
    exporter = exporter_of(n1=N1, n2=N2)
    table = confirmed(exporter)
    fold_all(table, exporter.leave())
    exporter.come_back()

    assert exporter.announce("n1", N1).fold_into(table) == set()
    assert table.nodes == {}
    exporter.lease(digests=False).fold_into(table)
    assert (table.left_at, table.doubtful, table.known, table.nodes) == (None, True, False, {})
    exporter.announce("n2", N2).fold_into(table)
    exporter.lease()

    assert exporter.replay_into(table) == {CLUSTER_ITSELF, "n1", "n2"}
    assert (table.known, table.nodes) == (True, {"n1": N1, "n2": N2})


def test_messages_of_an_earlier_incarnation_are_passed_over() -> None:
    """Two watchers of one cluster during a roll-out: the newer one is right, whoever is last."""
    exporter = exporter_of(n1=N1)
    late = exporter.announce("n1", but(N1, leader=True))
    exporter.announce("n1", N1)
    exporter.epoch = 2
    table = confirmed(exporter)

    with pytest.raises(StaleEpoch, match="incarnation 1 of cluster east"):
        late.fold_into(table)
    with pytest.raises(StaleEpoch):
        table.fold_unreadable(exporter.subject("n1"), b"?", 1)

    assert table.nodes == {"n1": N1}


def test_an_unreadable_message_counts_and_keeps_what_was_known() -> None:
    """A newer watcher's message raises no doubt: its node is there, as it was last known."""
    exporter = exporter_of(n1=N1)
    table, payload = confirmed(exporter), b'{"type":"node.announced.v9"}'
    table.begin_replay()
    for name in ("n1", "unheard"):
        table.fold_unreadable(exporter.subject(name), payload, 1)
    table.fold_unreadable(ITSELF, b"?", 1)
    prints = (fingerprint(str(exporter.subject(n)), payload) for n in ("n1", "unheard"))
    digest = Digest(count=2, hash=f"{sum(prints) % (1 << 128):032x}")
    message = but(ANNOUNCED, digests={"node": digest})
    table.fold(ITSELF, message, encode(message), 1)

    assert table.end_replay() == set()
    assert (table.complete, table.nodes) == (True, {"n1": N1})


def test_messages_of_other_kinds_touch_nothing() -> None:
    """Whoever filters wrongly does no harm: a Service may have a node's name."""
    exporter = exporter_of(n1=N1)
    table = confirmed(exporter)
    where = Subject(cluster=EAST, kind=Kind.SERVICE, namespace="shop", name="n1")

    assert table.fold(where, ServiceWithdrawn(), b"{}", 1) == set()
    assert table.nodes == {"n1": N1}
    exporter.lease().fold_into(table)
    assert table.complete
    assert table.fold(exporter.subject("n1"), NodeWithdrawn(), b"{}", 1) == {"n1"}


STATES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.integers(1, 3)))


def tell(exporter: NodeExporter, states: dict[str, int | None]) -> list[object]:
    """Publish that each named node is as its number says, or withdrawn."""
    return [
        exporter.withdraw(name) if number is None else exporter.announce(name, node(number))
        for name, number in states.items()
    ]


@given(before=STATES, after=STATES, lost=st.sets(st.integers(0, 5)), cut=st.integers(0, 5))
def test_whatever_was_lost_a_confirmed_replay_mends(
    before: dict[str, int | None], after: dict[str, int | None], lost: set[int], cut: int
) -> None:
    """Losses, an interrupted replay, then a whole one: the same table as a fresh start gives."""
    exporter = NodeExporter()
    tell(exporter, before)
    table = confirmed(exporter)
    live = tell(exporter, after)
    fold_all(table, [m for n, m in enumerate(live) if n not in lost])  # type: ignore[misc]
    known = dict(table.nodes)
    exporter.replay_into(table, cut)
    assert cut >= len(exporter.stream) or table.nodes == known

    exporter.lease()
    exporter.replay_into(table)

    assert table.nodes == confirmed(exporter).nodes
