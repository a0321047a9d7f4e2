"""Who gets a range that several peers offer."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.names import ClusterId
from services.peerer.claims import Candidate, resolve_claims
from tests.support.peers import HERE

RANGE, OTHER = "10.101.0.0/16", "fd00:101::/112"


def candidate(segment: str, *holds: str, healthy: bool = True) -> Candidate:
    """Return a candidate."""
    return Candidate(segment=segment, healthy=healthy, holds=frozenset(holds))


A, B, C = (candidate(segment) for segment in "abc")
FIRST = resolve_claims([RANGE], [A, B, C], HERE)[RANGE]
SECOND = resolve_claims([RANGE], [one for one in (A, B, C) if one.segment != FIRST], HERE)[RANGE]
(THIRD,) = {"a", "b", "c"} - {FIRST, SECOND}
SILENT = candidate(FIRST, healthy=False)

CASES = {
    # candidates                                                             holder
    "nobody":                  ([],                                          None),
    "the only one":            ([A],                                         "a"),
    "the only one is silent":  ([candidate("a", healthy=False)],             "a"),
    "a new range":             ([A, B, C],                                   FIRST),
    "in any order":            ([C, A, B],                                   FIRST),
    "a healthy holder":        ([A, B, C, candidate("d", RANGE)],            "d"),
    "holds something else":    ([A, B, C, candidate("d", OTHER, healthy=False)], FIRST),
    "the first is silent":     ([SILENT, *(x for x in (A, B, C) if x.segment != FIRST)], SECOND),
    "a silent holder":         ([A, B, C, candidate("d", RANGE, healthy=False)], FIRST),
    "all are silent":          ([candidate(THIRD, RANGE, healthy=False), SILENT], THIRD),
    "two hold it":             ([candidate(FIRST, RANGE), candidate(SECOND, RANGE), C], FIRST),
    "one of two is silent":    ([candidate(FIRST, RANGE, healthy=False), candidate(SECOND, RANGE)],
                                SECOND),
}  # fmt: skip


@pytest.mark.parametrize(("candidates", "holder"), CASES.values(), ids=CASES)
def test_who_holds_a_range(candidates: list[Candidate], holder: str | None) -> None:
    """A healthy holder keeps it; else a hash picks among the healthy, else among all."""
    assert resolve_claims([RANGE], candidates, HERE).get(RANGE) == holder


def test_importing_clusters_spread_over_an_exporting_ones_nodes() -> None:
    """Of 300 importing clusters each of three nodes serves about a third."""
    counted = Counter(
        resolve_claims([RANGE], [A, B, C], ClusterId(f"c{number}"))[RANGE] for number in range(300)
    )

    assert min(counted.values()) > 70


def test_ranges_are_given_one_by_one() -> None:
    """One node may have a range of IPv4, and another one that of IPv6."""
    pairs = (
        resolve_claims([RANGE, OTHER], [A, B, C], ClusterId(f"c{number}")) for number in range(20)
    )

    assert any(pair[RANGE] != pair[OTHER] for pair in pairs)


@given(
    segments=st.sets(st.sampled_from("abcdefgh"), min_size=1),
    joins=st.sets(st.sampled_from("abcdefgh")),
    leaves=st.sets(st.sampled_from("abcdefgh")),
)
def test_nothing_moves_without_need(segments: set[str], joins: set[str], leaves: set[str]) -> None:
    """Whoever joins or leaves: a holder that is still there and healthy has what it had."""
    holder = resolve_claims([RANGE], map(candidate, sorted(segments)), HERE)[RANGE]
    after = sorted((segments | joins) - (leaves - {holder}))
    candidates = [candidate(one, *([RANGE] if one == holder else [])) for one in after]

    assert resolve_claims([RANGE], candidates, HERE) == {RANGE: holder}
