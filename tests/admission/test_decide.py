from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heliograph.admission.decide import MAX_OVERLAPS, decide, dropped, merged
from heliograph.admission.declaration import Admitted, Declaration, Overlap
from heliograph.contract.names import ClusterId
from tests.support.ranges import CIDRS, overlap

HERE, EAST, NORTH, SOUTH = map(ClusterId, ("here", "east", "north", "south"))
FIRST, THEN, LATER = (f"2026-11-27T0{hour}:00:00.000000Z" for hour in (1, 2, 3))
OWN = Declaration(cluster=HERE, service_cidrs=("10.96.0.0/16",), tunnel_cidrs=("10.5.0.0/16",))


def pods(cluster: ClusterId, *cidrs: str) -> Declaration:
    return Declaration(cluster=cluster, pod_cidrs=cidrs)


def admitted(since: str, *ranges: str) -> Admitted:
    return Admitted(since=since, ranges=ranges)


A, B, C = "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"

CASES: dict[
    str, tuple[list[Declaration], Mapping[ClusterId, Admitted], set[str], Mapping[str, Admitted]]
] = {
    # others, record, admitted, next record
    "nobody": ([], {}, set(), {}),
    "a new one": ([pods(EAST, A)], {}, {EAST}, {EAST: admitted(LATER, A)}),
    "one that stands": (
        [pods(EAST, A)],
        {EAST: admitted(FIRST, A)},
        {EAST},
        {EAST: admitted(FIRST, A)},
    ),
    "own ranges win": ([pods(EAST, "10.96.7.0/24")], {}, set(), {}),
    "own ranges win over the record": (
        [pods(EAST, "10.96.7.0/24")],
        {EAST: admitted(FIRST, "10.96.7.0/24")},
        set(),
        {EAST: admitted(FIRST, "10.96.7.0/24")},
    ),
    "two new ones: by their ids": (
        [pods(NORTH, A), pods(EAST, A)],
        {},
        {EAST},
        {EAST: admitted(LATER, A)},
    ),
    "the one that stands stays": (
        [pods(NORTH, A), pods(EAST, A)],
        {NORTH: admitted(FIRST, A)},
        {NORTH},
        {NORTH: admitted(FIRST, A)},
    ),
    "even if the clock went back": (
        [pods(NORTH, A), pods(EAST, A)],
        {NORTH: admitted("2999-01-01T00:00:00Z", A)},
        {NORTH},
        {NORTH: admitted("2999-01-01T00:00:00Z", A)},
    ),
    "one that grows": (
        [pods(EAST, A, C)],
        {EAST: admitted(FIRST, A)},
        {EAST},
        {EAST: admitted(LATER, A, C)},
    ),
    "one that shrinks and keeps its place": (
        [pods(EAST, A)],
        {EAST: admitted(FIRST, A, C)},
        {EAST},
        {EAST: admitted(FIRST, A, C)},
    ),
    "one that grows into another": (
        [pods(EAST, A, B), pods(NORTH, B)],
        {EAST: admitted(FIRST, A), NORTH: admitted(THEN, B)},
        {NORTH},
        {EAST: admitted(FIRST, A), NORTH: admitted(THEN, B)},
    ),
    "what it had before is kept for it meanwhile": (
        [pods(NORTH, A, B), pods(SOUTH, B), pods(EAST, A)],
        {NORTH: admitted(FIRST, A), SOUTH: admitted(THEN, B)},
        {SOUTH},
        {NORTH: admitted(FIRST, A), SOUTH: admitted(THEN, B)},
    ),
    "the place of one that is away is kept": (
        [pods(EAST, A)],
        {NORTH: admitted(FIRST, A)},
        set(),
        {NORTH: admitted(FIRST, A)},
    ),
    "what one has given up, another may have for good": (
        [pods(EAST, A), pods(NORTH, B)],
        {NORTH: admitted(FIRST, A, B)},
        {EAST, NORTH},
        {EAST: admitted(LATER, A), NORTH: admitted(FIRST, B)},
    ),
    "an entry of which nothing is left": (
        [pods(EAST, A), pods(NORTH, "10.96.0.0/16")],
        {NORTH: admitted(FIRST, A)},
        {EAST},
        {EAST: admitted(LATER, A)},
    ),
    "two that swap their ranges": (
        [pods(EAST, B), pods(NORTH, A)],
        {EAST: admitted(FIRST, A), NORTH: admitted(FIRST, B)},
        {EAST, NORTH},
        {EAST: admitted(LATER, B), NORTH: admitted(LATER, A)},
    ),
    "a pod range inside of a service range": (
        [pods(NORTH, "10.1.7.0/24"), Declaration(cluster=EAST, service_cidrs=(A,))],
        {},
        {EAST},
        {EAST: admitted(LATER, A)},
    ),
    "one without ranges": ([pods(EAST)], {}, {EAST}, {}),
    "ranges that are none": ([pods(EAST, "ten/8", A)], {}, {EAST}, {EAST: admitted(LATER, A)}),
    "a record that somebody spoilt": (
        [pods(EAST, A), pods(NORTH, A)],
        {EAST: admitted(THEN, A), NORTH: admitted(FIRST, A, "x/y")},
        {NORTH},
        {EAST: admitted(THEN, A), NORTH: admitted(FIRST, A, "x/y")},
    ),
}


@pytest.mark.parametrize(("others", "record", "taken", "after"), CASES.values(), ids=CASES)
def test_who_is_admitted(
    others: list[Declaration],
    record: Mapping[ClusterId, Admitted],
    taken: set[str],
    after: Mapping[str, Admitted],
) -> None:
    """Own ranges win, then those that the record knows, then new ones; the record says so."""
    decision = decide(OWN, others, record, LATER)

    assert decision.admitted == taken
    assert decision.refused.keys() == {other.cluster for other in others} - taken
    assert decision.record == after


def test_each_overlap_is_listed_with_whose_it_is() -> None:
    """Own ranges come first, then the declaration's order; with the time the other one came."""
    others = [
        Declaration(cluster=EAST, service_cidrs=(A,), pod_cidrs=("10.96.0.0/12",)),
        pods(NORTH, A),
    ]

    decision = decide(OWN, others, {NORTH: admitted(FIRST, A)}, LATER)

    own = Overlap(
        refused=EAST,
        cidr="10.96.0.0/12",
        use="pod",
        with_cluster=HERE,
        with_cidr="10.96.0.0/16",
        with_use="service",
    )
    north = Overlap(
        refused=EAST,
        cidr=A,
        use="service",
        with_cluster=NORTH,
        with_cidr=A,
        with_use="pod",
        since=FIRST,
    )
    assert decision.refused == {EAST: (own, north)}


def test_of_thousands_of_overlaps_a_few_are_listed() -> None:
    """A cluster with the same thousand ranges fills no message with them."""
    many = [f"10.1.{n}.0/24" for n in range(256)]

    decision = decide(None, [pods(EAST, *many), pods(NORTH, *many)], {}, LATER)

    assert len(decision.refused[NORTH]) == MAX_OVERLAPS


def test_the_own_cluster_is_not_one_of_the_others() -> None:
    """A message of the own cluster on a shared bus refuses nothing."""
    decision = decide(OWN, [OWN, pods(EAST, A)], {}, LATER)

    assert decision.admitted == {EAST}


def test_what_is_unchanged_is_the_same_object() -> None:
    """So that nothing is written for it."""
    record = {EAST: admitted(FIRST, A), NORTH: admitted(FIRST, B)}

    assert decide(OWN, [pods(EAST, A), pods(NORTH, B)], record, LATER).record is record
    grown = decide(OWN, [pods(EAST, A), pods(NORTH, B, C)], record, LATER).record
    assert grown[EAST] is record[EAST]


MERGED: dict[
    str, tuple[Mapping[ClusterId, Admitted], Mapping[ClusterId, Admitted], Mapping[str, Admitted]]
] = {
    # kept, decided here, together
    "nothing is kept yet": ({}, {EAST: admitted(FIRST, A)}, {EAST: admitted(FIRST, A)}),
    "another one was written": (
        {NORTH: admitted(THEN, B)},
        {EAST: admitted(FIRST, A)},
        {EAST: admitted(FIRST, A), NORTH: admitted(THEN, B)},
    ),
    "it was written by another program": (
        {EAST: admitted(THEN, A, C)},
        {EAST: admitted(FIRST, A)},
        {EAST: admitted(THEN, A, C)},
    ),
    "the same, with the same ranges": (
        {EAST: admitted(THEN, A)},
        {EAST: admitted(FIRST, A)},
        {EAST: admitted(THEN, A)},
    ),
    "it grows": (
        {EAST: admitted(FIRST, A)},
        {EAST: admitted(THEN, A, C)},
        {EAST: admitted(THEN, A, C)},
    ),
    "another program decided otherwise": (
        {NORTH: admitted(THEN, A)},
        {EAST: admitted(FIRST, A)},
        {NORTH: admitted(THEN, A)},
    ),
}


@pytest.mark.parametrize(("stored", "ours", "together"), MERGED.values(), ids=MERGED)
def test_what_is_kept_wins_over_what_is_not_written_yet(
    stored: Mapping[ClusterId, Admitted],
    ours: Mapping[ClusterId, Admitted],
    together: Mapping[str, Admitted],
) -> None:
    """Two programs of a cluster decide at the same time, and end with one opinion."""
    assert merged(stored, ours) == together


def test_a_cluster_that_left_frees_its_ranges() -> None:
    """Once its entry is dropped, another one has the place."""
    record = {NORTH: admitted(FIRST, A), EAST: admitted(FIRST, B)}

    assert decide(OWN, [pods(SOUTH, A)], dropped(record, NORTH), LATER).admitted == {SOUTH}


def test_a_hundred_clusters_with_a_thousand_ranges_each() -> None:
    """A decision in which nothing changed keeps the record as it is, though most are refused."""
    others = [
        Declaration(
            cluster=ClusterId(f"c{c}"),
            pod_cidrs=tuple(f"fd00:{c:x}:{n:x}::/64" for n in range(1000)),
            tunnel_cidrs=("10.4.0.0/16",),
        )
        for c in range(100)
    ]
    record = decide(OWN, others, {}, FIRST).record

    assert decide(OWN, others, record, LATER).record is record


DECLARATIONS = st.builds(
    Declaration,
    cluster=st.just(EAST),
    service_cidrs=st.lists(CIDRS, max_size=2).map(tuple),
    pod_cidrs=st.lists(CIDRS, max_size=2).map(tuple),
    tunnel_cidrs=st.lists(CIDRS, max_size=1).map(tuple),
)


def named(declaration: Declaration, cluster: ClusterId) -> Declaration:
    return Declaration(
        cluster=cluster,
        service_cidrs=declaration.service_cidrs,
        pod_cidrs=declaration.pod_cidrs,
        tunnel_cidrs=declaration.tunnel_cidrs,
    )


CLUSTERS = [ClusterId(name) for name in "abcde"]
SITUATIONS = st.dictionaries(st.sampled_from(CLUSTERS), DECLARATIONS).map(
    lambda chosen: [named(declaration, cluster) for cluster, declaration in chosen.items()]
)
OWNS = st.one_of(st.none(), DECLARATIONS.map(lambda declaration: named(declaration, HERE)))


def ranges(declaration: Declaration | None) -> list[str]:
    return [cidr for cidr, _ in declaration.ranges()] if declaration else []


def moment(step: int) -> str:
    return f"2026-11-27T00:00:{step:02}.000000Z"


@given(own=OWNS, history=st.lists(SITUATIONS, min_size=1, max_size=4), dice=st.randoms())
def test_whatever_happened_before(
    own: Declaration | None, history: list[list[Declaration]], dice: random.Random
) -> None:
    """No two that take part overlap, order means nothing, and deciding again changes nothing."""
    record: Mapping[ClusterId, Admitted] = {}
    for step, others in enumerate(history):
        decision = decide(own, others, record, moment(step))

        taking_part = [o for o in others if o.cluster in decision.admitted]
        for one, other in itertools.combinations([*taking_part, *([own] if own else [])], 2):
            assert not overlap(ranges(one), ranges(other))
        dice.shuffle(others)
        assert decide(own, others, record, moment(step)) == decision
        again = decide(own, others, decision.record, moment(step + 10))
        assert again == decision
        assert again.record is decision.record
        record = decision.record
    entries = [entry.ranges for entry in record.values()]
    assert not any(overlap(one, other) for one, other in itertools.combinations(entries, 2))


@given(own=OWNS, before=SITUATIONS, newcomer=DECLARATIONS)
def test_a_newcomer_displaces_nobody(
    own: Declaration | None, before: list[Declaration], newcomer: Declaration
) -> None:
    """Whoever was admitted stays so, whatever a new one declares and whatever its id is."""
    decision = decide(own, before, {}, FIRST)
    stranger = ClusterId("0")  # before all others, if ids decided

    later = decide(own, [*before, named(newcomer, stranger)], decision.record, THEN)

    assert later.admitted - {stranger} == decision.admitted
    assert {**decision.record, **later.record} == later.record


@given(own=OWNS, before=SITUATIONS, heard=st.randoms())
def test_who_is_heard_first_after_a_restart_means_nothing(
    own: Declaration | None, before: list[Declaration], heard: random.Random
) -> None:
    """With the record, a cluster that was refused is not admitted before the others are heard."""
    decision = decide(own, before, {}, FIRST)
    assume(decision.refused)
    heard.shuffle(before)

    for count in range(len(before) + 1):
        part = decide(own, before[:count], decision.record, THEN)
        assert part.admitted <= decision.admitted
        assert part.record is decision.record
