"""What people decided is read from one ConfigMap, whatever else somebody wrote into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.admission.declaration import Admitted
from heliograph.contract.names import ClusterId
from heliograph.membership.record import Membership, admitted_text, entry_of, read
from heliograph.ranges import join_ranges
from tests.support.ranges import CIDRS

EAST = ClusterId("east")
NOON = "2026-11-27T12:00:00.5Z"
ADMITTED = Admitted(since=NOON, ranges=("10.0.0.0/15", "fd00::/64"))

DATA: dict[str, tuple[dict[str, str], Membership]] = {
    # what is written           and what it means
    "nothing":                 ({}, Membership()),
    "this cluster has left":   ({"left": "2026"}, Membership(left_at="2026")),
    "a cluster is forgotten":  ({"forgotten.east": ""}, Membership(forgotten=frozenset({EAST}))),
    "removals are confirmed":  ({"confirmed.east": "now"}, Membership(confirmed={EAST: "now"})),
    "a cluster has left":      ({"departed.east": "12"}, Membership(departed={EAST: 12})),
    "a misspelt word":         ({"frgotten.east": ""}, Membership(unknown=("frgotten.east",))),
    "a word of no cluster":    ({"forgotten": "x"}, Membership(unknown=("forgotten",))),
    "a name that is no id":    ({"forgotten.a.b": ""}, Membership(unknown=("forgotten.a.b",))),
    "an epoch of letters":     ({"departed.east": "-1"}, Membership(unknown=("departed.east",))),
}  # fmt: skip


@pytest.mark.parametrize(("data", "membership"), DATA.values(), ids=DATA)
def test_entries_and_their_meaning(data: dict[str, str], membership: Membership) -> None:
    """Each entry stands for itself, and one that means nothing is named, not guessed at."""
    assert read(data) == membership


READABLE = {
    "as it is written": f"{NOON} 10.0.0.0/15,fd00::/64",
    "by hand": f" {NOON}  fd00::1/64, 10.1.0.0/16,10.0.0.0/16 ",
}
UNREADABLE = {
    "at no time": "noon 10.0.0.0/16",
    "with no ranges": NOON,
    "with a range that is none": f"{NOON} 10.0.0.0/16,x",
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_a_cluster_is_admitted(text: str) -> None:
    """With the time at which it was, and its ranges; people may write them as they like."""
    assert read({"admitted.east": text}) == Membership(admitted={EAST: ADMITTED})


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_a_cluster_is_admitted_by_no_half_entry(text: str) -> None:
    """What cannot be read whole means nothing: half of its ranges would admit too much."""
    assert read({"admitted.east": text}) == Membership(unknown=("admitted.east",))


def test_an_entry_is_found_under_the_name_it_was_written_under() -> None:
    """Writing and reading agree."""
    assert read({entry_of("forgotten", EAST): "x"}).forgotten == {EAST}


@given(st.lists(CIDRS, min_size=1))
def test_what_is_admitted_is_read_as_it_was_written(cidrs: list[str]) -> None:
    """With neighbours joined, as the decision keeps them."""
    admitted = Admitted(since=NOON, ranges=join_ranges(cidrs))

    assert read({"admitted.east": admitted_text(admitted)}).admitted == {EAST: admitted}


@given(st.dictionaries(st.text(), st.text()))
def test_no_content_breaks_a_program(data: dict[str, str]) -> None:
    """ConfigMaps are edited by hand."""
    membership = read(data)
    assert membership.left == bool(data.get("left"))


def test_the_record_of_admissions_is_no_decision_of_people() -> None:
    """Programs write it; nothing that people decided is different for it."""
    entry = {"admitted.east": "2026-11-27T05:00:00Z 10.96.0.0/16"}
    assert read(entry).decides_as(read({}))
    assert read({}).decides_as(read(entry))
    assert not read({"forgotten.east": "x"} | entry).decides_as(read(entry))
