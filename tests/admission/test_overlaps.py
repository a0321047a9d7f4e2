from __future__ import annotations

import ipaddress
import time

from hypothesis import given
from hypothesis import strategies as st

from heliograph.admission.declaration import Declaration
from heliograph.admission.overlaps import Held, RangeIndex, declared, held_by, shared
from heliograph.admission.spans import (
    Spans,
    cidrs_of,
    covers,
    holds,
    joined,
    meet,
    spans_of,
    without,
)
from heliograph.contract.names import ClusterId
from heliograph.ranges import join_ranges
from tests.support.ranges import CIDRS, networks

EAST = ClusterId("east")


def held(cidr: str) -> Held:
    found = held_by(EAST, cidr, "pod")
    assert found is not None
    return found


def addresses(spans: Spans) -> int:
    return sum(last - first + 1 for first, last in spans)


@given(stored=st.lists(CIDRS), asked=CIDRS)
def test_the_index_finds_what_a_look_at_all_ranges_finds(stored: list[str], asked: str) -> None:
    """Equal ranges, smaller ones inside and larger ones around, in both families; each once."""
    index = RangeIndex(map(held, stored))
    asked_network = ipaddress.ip_network(asked)

    found = [other.cidr for other in index.overlapping(held(asked).span)]

    expected = [
        str(n)
        for n in networks(stored)
        if n.version == asked_network.version and n.overlaps(asked_network)
    ]
    assert sorted(found) == sorted(expected)


@given(stored=st.lists(CIDRS), later=st.lists(CIDRS), asked=CIDRS)
def test_ranges_may_be_added_in_parts(stored: list[str], later: list[str], asked: str) -> None:
    """An index that was asked already knows what is added to it."""
    index = RangeIndex(map(held, stored))
    list(index.overlapping(held(asked).span))
    index.add(map(held, later))

    at_once = RangeIndex(map(held, [*stored, *later]))
    assert list(index.overlapping(held(asked).span)) == list(at_once.overlapping(held(asked).span))


def test_ten_thousand_ranges_are_no_burden() -> None:
    """A question costs microseconds, and not a look at each range."""
    index = RangeIndex(held(f"10.{n // 256}.{n % 256}.0/24") for n in range(10_000))
    asked = [held(f"11.{n // 256}.{n % 256}.0/24").span for n in range(10_000)]

    begun = time.process_time()
    assert not [other for span in asked for other in index.overlapping(span)]
    assert time.process_time() - begun < 1.0


@given(st.lists(st.text(max_size=30)))
def test_texts_that_are_no_ranges_stand_for_no_address(texts: list[str]) -> None:
    """A declaration comes from outside: whatever it says, nothing breaks."""
    declaration = Declaration(cluster=EAST, pod_cidrs=tuple(texts))

    readable = declared(declaration)

    assert [held.cidr for held in readable if not held.cidr] == []
    assert covers(spans_of(tuple(texts)), joined(held.span for held in readable))


def test_host_bits_are_cleared() -> None:
    """A range that is written with an address inside of it is that range."""
    assert held("10.1.2.3/16").cidr == "10.1.0.0/16"


@given(st.lists(CIDRS), st.lists(CIDRS))
def test_sets_of_addresses_add_up(some: list[str], others: list[str]) -> None:
    """What is taken away, and what is left, are the whole, and share no address."""
    whole, taken = spans_of(tuple(some)), spans_of(tuple(others))

    left = without(whole, taken)

    assert not meet(left, taken)
    assert covers(whole, left)
    assert joined((*left, *taken)) == joined((*whole, *taken))
    assert meet(whole, taken) == (addresses(left) < addresses(whole))
    assert all(not holds(left, first) and not holds(left, last) for first, last in taken)


@given(st.lists(CIDRS))
def test_spans_and_ranges_are_the_same_addresses(cidrs: list[str]) -> None:
    """They are written back as the fewest ranges there are."""
    assert cidrs_of(spans_of(tuple(cidrs))) == join_ranges(cidrs)


@given(st.lists(st.lists(CIDRS, max_size=4), max_size=5))
def test_who_shares_addresses_is_found_in_one_pass(clusters: list[list[str]]) -> None:
    """The same as by comparing every range with every other one."""
    spans = {ClusterId(f"c{n}"): spans_of(tuple(cidrs)) for n, cidrs in enumerate(clusters)}

    found, where = shared(spans)

    assert found == {
        a
        for a, mine in spans.items()
        for b, theirs in spans.items()
        if a != b and meet(mine, theirs)
    }
    for a, mine in spans.items():
        rest = joined(span for b, theirs in spans.items() if a != b for span in theirs)
        assert without(mine, rest) == without(mine, where) or not meet(mine, rest)
