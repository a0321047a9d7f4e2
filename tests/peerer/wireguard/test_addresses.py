"""A node's address in the tunnels: stable, its own, and chosen without asking anybody."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.contract.names import ClusterId
from heliograph.errors import InputError
from services.peerer.wireguard.addresses import (
    SHARED_SPACE,
    choose_address,
    derived_range,
    host_range,
)

RANGE = "100.72.16.0/20"
FIRST = choose_address(RANGE, "n1", taken={})
SECOND = choose_address(RANGE, "n1", taken={FIRST.partition("/")[0]: "n0"})


def test_the_address_of_a_name_is_always_the_same() -> None:
    """It must not change with a version: what is pinned here stands in people's clusters."""
    assert FIRST == choose_address(RANGE, "n1", taken={"100.72.16.1": "n9"}) == "100.72.28.0/20"


STANDING = {
    # what stands                  who else has it   what is chosen
    "nothing":                    (None,              {},                       FIRST),
    "an address of the range":    ("100.72.16.9/20",  {},                       "100.72.16.9/20"),
    "of another mask":            ("100.72.16.9/32",  {},                       "100.72.16.9/20"),
    "outside of the range":       ("10.4.0.1/16",     {},                       FIRST),
    "of the other family":        ("fd00::1/64",      {},                       FIRST),
    "a later name has it":        ("100.72.16.9/20",  {"100.72.16.9": "n2"},    "100.72.16.9/20"),
    "an earlier name has it":     ("100.72.16.9/20",  {"100.72.16.9": "n0"},    FIRST),
    "in words":                   ("router",          {},                       FIRST),
    "in words, with mask":        ("router/20",       {},                       FIRST),
    "without mask":               ("100.72.16.9",     {},                       "100.72.16.9/20"),
    "empty":                      ("",                {},                       FIRST),
    "with a zone":                ("fe80::1%eth0/64", {},                       FIRST),
    "nothing, the first is taken": (None, {FIRST.partition("/")[0]: "n0"},      SECOND),
    "nothing, a later name has the first": (None, {FIRST.partition("/")[0]: "n2"}, SECOND),
}  # fmt: skip


@pytest.mark.parametrize(("standing", "taken", "chosen"), STANDING.values(), ids=STANDING)
def test_what_stands_stays_if_it_can(
    standing: str | None, taken: dict[str, str], chosen: str
) -> None:
    """Of two nodes with one address the later name goes; what cannot be read is chosen anew."""
    assert choose_address(RANGE, "n1", taken=taken, standing=standing) == chosen


def addresses(cidr: str) -> list[str]:
    """Return all addresses of a range that a node may have."""
    return [str(one) for one in ipaddress.ip_network(cidr).hosts()]


SMALL = ("10.0.0.7/32", "10.0.0.6/31", "10.0.0.4/30", "10.0.0.0/28", "fd00::7/128", "fd00::6/127")


@pytest.mark.parametrize("cidr", SMALL)
def test_the_last_free_address_is_found(cidr: str) -> None:
    """Whichever it is, also in ranges of one or two addresses."""
    for free in addresses(cidr):
        taken = dict.fromkeys(set(addresses(cidr)) - {free}, "n0")
        mask = cidr.partition("/")[2]
        assert choose_address(cidr, "n1", taken=taken) == f"{free}/{mask}"


@pytest.mark.parametrize("cidr", [*SMALL, "10.0.0.0/20"])
def test_a_range_without_a_free_address_is_told(cidr: str) -> None:
    """In one sentence that says what to do; nothing waits for an address for ever."""
    taken = dict.fromkeys(map(str, ipaddress.ip_network(cidr)), "n0")

    with pytest.raises(InputError, match=f"{cidr} has no address left for node n1.*--tunnel-cidr"):
        choose_address(cidr, "n1", taken=taken)


def test_neither_edge_of_an_ipv4_range_is_chosen() -> None:
    """Some programs take the first for the network's own, and the last for a broadcast."""
    chosen = {choose_address("10.0.0.0/29", f"n{number}", taken={}) for number in range(200)}

    assert chosen == {f"10.0.0.{last}/29" for last in range(1, 7)}


def test_a_range_of_ipv6_is_used_widely() -> None:
    """A thousand names are at a thousand addresses of a /64."""
    chosen = {choose_address("fd00:72::/64", f"n{number}", taken={}) for number in range(1000)}

    assert len(chosen) == 1000
    assert all(
        ipaddress.ip_interface(one).ip in ipaddress.ip_network("fd00:72::/64") for one in chosen
    )


RANGES = st.sampled_from(("10.0.0.0/29", "10.0.0.0/28", "10.0.0.0/20", "fd00::/125", "fd00::/64"))


@st.composite
def schedules(draw: st.DrawFn) -> tuple[str, list[str], list[tuple[str, int]]]:
    """Return a range, nodes, and who looks when, with a view how many steps old."""
    cidr, count = draw(RANGES), draw(st.integers(1, 6))
    names = [f"n{number}" for number in range(count)]
    looks = st.lists(st.tuples(st.sampled_from(names), st.integers(0, 8)), max_size=30)
    return cidr, names, draw(looks)


@settings(max_examples=200)
@given(schedule=schedules(), together=st.booleans())
def test_nodes_that_choose_at_the_same_time_end_apart(
    schedule: tuple[str, list[str], list[tuple[str, int]]], *, together: bool
) -> None:
    """With views of any age; once these are fresh, as many rounds as nodes are enough, at most."""
    cidr, names, looks = schedule
    history: list[dict[str, str]] = [{}]

    def look(name: str, view: dict[str, str]) -> str:
        others = sorted(view.items(), reverse=True)
        taken = {one.partition("/")[0]: other for other, one in others if other != name}
        return choose_address(cidr, name, taken=taken, standing=history[-1].get(name))

    for name, age in looks:
        view = history[max(0, len(history) - 1 - age)]
        history.append({**history[-1], name: look(name, view)})
    for _ in range(len(names) + 1):
        before = history[-1]
        after = dict(before)
        for name in names:
            after[name] = look(name, before if together else after)
            if not together:
                history.append(dict(after))
        history.append(after)

    assert history[-1] == before
    assert len(set(after.values())) == len(names)


def test_the_range_of_a_cluster_that_was_given_none() -> None:
    """One of 1,024 blocks, always the same of one id, and different ones of different ids."""
    assert derived_range(ClusterId("east")) == derived_range(ClusterId("east"))
    blocks = {derived_range(ClusterId(f"c{number}")) for number in range(20_000)}

    assert len(blocks) == 1024
    assert all(ipaddress.ip_network(one).subnet_of(SHARED_SPACE) for one in blocks)
    assert {one.partition("/")[2] for one in blocks} == {"20"}


def test_an_address_as_a_range_of_its_own() -> None:
    """As it is set on the interface, and routed elsewhere."""
    assert host_range("100.72.16.9/20") == "100.72.16.9/32"
    assert host_range("fd00::9/64") == "fd00::9/128"
