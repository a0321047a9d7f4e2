"""What people decided is read from one ConfigMap, whatever else somebody wrote into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.names import ClusterId
from heliograph.membership.record import Membership, entry_of, read

EAST = ClusterId("east")

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


def test_an_entry_is_found_under_the_name_it_was_written_under() -> None:
    """Writing and reading agree."""
    assert read({entry_of("forgotten", EAST): "x"}).forgotten == {EAST}


@given(st.dictionaries(st.text(), st.text()))
def test_no_content_breaks_a_program(data: dict[str, str]) -> None:
    """ConfigMaps are edited by hand."""
    membership = read(data)
    assert membership.left == bool(data.get("left"))
