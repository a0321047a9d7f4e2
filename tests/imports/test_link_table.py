"""Whether packets reach a cluster, by what the own agents stated lately."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.messages import Link, LinkStated
from heliograph.contract.names import ClusterId
from heliograph.imports.heard import CLOCKS_DIFFER_S, Heard, heard
from heliograph.imports.link_table import FRESH_S, LinkTable

EAST, SOUTH = ClusterId("east"), ClusterId("south")
ANSWERING = Link(exporting=EAST, answering=1, silent=("e2",))
SILENT = Link(exporting=EAST, silent=("e1", "e2"))
NO_WORD = Link(exporting=EAST)
_NS = 1_000_000_000


def at(at_s: float, stored_at_ns: int | None = None) -> Heard:
    """Return that a message of its own came at a time."""
    return Heard(stored_at_ns=int(at_s * _NS) if stored_at_ns is None else stored_at_ns, at_s=at_s)


def table(*links: Link) -> LinkTable:
    """Return what nodes n1, n2, ... state, each of one link, heard at second 0."""
    made = LinkTable()
    for number, link in enumerate(links, 1):
        made.put(f"n{number}", LinkStated(links=(link,)), at(0))
    return made


PATHS = {
    "nobody says anything":                 ((), "unknown"),
    "one node answers one of ours":         ((ANSWERING,), "answering"),
    "it answers one and not another":       ((SILENT, ANSWERING), "answering"),
    "it answers nobody":                    ((SILENT, SILENT), "silent"),
    "nothing is known of any node yet":     ((NO_WORD,), "unknown"),
    "somebody knows":                       ((NO_WORD, SILENT), "silent"),
    "another cluster is spoken of":         ((Link(exporting=SOUTH, silent=("s1",)),), "unknown"),
    "nonsense counts as no answer":         ((Link(exporting=EAST, answering=-1),), "unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("links", "path"), PATHS.values(), ids=PATHS)
def test_the_path_by_all_statements(links: tuple[Link, ...], path: str) -> None:
    """One answer is enough; silence takes somebody who misses nodes, and nobody who has one."""
    assert table(*links).path(EAST, 1) == path


def test_one_statement_may_name_a_cluster_twice() -> None:
    """An answer in either place is one."""
    made = LinkTable()
    made.put("n1", LinkStated(links=(ANSWERING, SILENT)), at(0))

    assert made.path(EAST, 0) == "answering"


def test_a_statement_that_is_not_repeated_stops_to_count() -> None:
    """Its agent is gone; the moment is told in advance."""
    made = table(SILENT)
    made.put("n2", LinkStated(links=(ANSWERING,)), at(-30))

    assert made.path(EAST, 59.9) == "answering"
    assert made.next_expiry_s(0) == FRESH_S - 30
    assert made.path(EAST, FRESH_S - 30) == "silent"
    assert made.next_expiry_s(FRESH_S - 30) == FRESH_S
    assert made.path(EAST, FRESH_S) == "unknown"
    assert made.next_expiry_s(FRESH_S) is None


def test_a_repetition_keeps_a_statement_and_changes_no_path() -> None:
    """It is a sign of life; nobody need look again for it."""
    made = table(SILENT)

    assert made.put("n1", LinkStated(links=(SILENT,)), at(80)) == set()
    assert made.path(EAST, 169) == "silent"


def test_a_repetition_after_a_long_silence_is_news() -> None:
    """Meanwhile it did not count."""
    made = table(SILENT)

    assert made.put("n1", LinkStated(links=(SILENT,)), at(100)) == {EAST}


def test_what_changes_is_told() -> None:
    """Only the clusters to which the path may be another now."""
    made = table(SILENT)
    elsewhere = Link(exporting=SOUTH, answering=1)

    assert made.put("n1", LinkStated(links=(SILENT, elsewhere)), at(1)) == {SOUTH}
    assert made.put("n1", LinkStated(links=(ANSWERING, elsewhere)), at(2)) == {EAST}
    assert made.put("n1", LinkStated(), at(3)) == {EAST, SOUTH}
    assert made.drop("n1") == set()


def test_a_withdrawal_takes_a_statement_back() -> None:
    """A node without tunnels sees nothing."""
    made = table(SILENT, ANSWERING)

    assert made.drop("n2") == {EAST}
    assert made.drop("n2") == set()
    assert made.path(EAST, 0) == "silent"


def test_the_same_message_in_a_replay_is_no_sign_of_life() -> None:
    """However often the bus is reconnected, a dead agent's last word runs out."""
    made = LinkTable()
    stated = LinkStated(links=(SILENT,))
    made.put("n1", stated, at(0, stored_at_ns=7))
    for now_s in (50, 89):
        made.begin_replay()
        made.put("n1", stated, at(now_s, stored_at_ns=7))
        assert made.end_replay() == set()

    assert made.path(EAST, 90) == "unknown"


def test_what_a_replay_does_not_bring_is_gone() -> None:
    """But for what it brings and this version cannot read: that stands, and ages."""
    made = table(SILENT, ANSWERING)
    made.begin_replay()
    made.keep("n1")

    assert made.path(EAST, 1) == "answering"  # half a replay proves nothing
    assert made.end_replay() == {EAST}
    assert made.path(EAST, 1) == "silent"
    assert made.nodes().keys() == {"n1"}


@given(
    links=st.lists(st.sampled_from([ANSWERING, SILENT, NO_WORD]), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_statements_means_nothing(links: list[Link], order: object) -> None:
    """Nodes speak in any order, and the path is the same."""
    shuffled = links[:]
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    assert table(*links).path(EAST, 1) == table(*shuffled).path(EAST, 1)


@given(skew_s=st.floats(-1e6, 1e6), age_s=st.floats(0, 1e6))
def test_nothing_is_heard_in_the_future_nor_looks_older_than_clocks_may_differ(
    skew_s: float, age_s: float
) -> None:
    """Whatever the bus's clock says; a change that comes live came now."""
    now_ns = 1_800_000_000 * _NS
    stored_at_ns = now_ns - int((age_s + skew_s) * _NS)
    replayed = heard(stored_at_ns, replayed=True, now_s=1000.0, now_ns=now_ns)
    live = heard(stored_at_ns, replayed=False, now_s=1000.0, now_ns=now_ns)

    assert replayed.at_s <= live.at_s == 1000.0
    if abs(skew_s) < CLOCKS_DIFFER_S - 0.001:
        assert replayed.at_s >= 1000.0 - age_s - 1e-3
