from __future__ import annotations

import pytest

from heliograph.admission.declaration import Overlap, Use
from heliograph.admission.explain import explain
from heliograph.contract.names import ClusterId

WEST, EAST, NORTH = map(ClusterId, ("west", "east", "north"))
TUNNELS = Overlap(
    refused=NORTH,
    cidr="10.4.0.0/16",
    use="tunnel",
    with_cluster=EAST,
    with_cidr="10.4.0.0/16",
    with_use="tunnel",
    since="2026-11-27T05:00:00Z",
)
SERVICES = Overlap(
    refused=NORTH,
    cidr="10.96.0.0/16",
    use="service",
    with_cluster=WEST,
    with_cidr="10.96.0.0/12",
    with_use="pod",
)


def test_the_whole_sentence() -> None:
    """It says what, where, whose, what was done and what to do."""
    assert explain(WEST, [TUNNELS, SERVICES]) == (
        "Cluster north is refused in cluster west: its tunnel range 10.4.0.0/16 overlaps with "
        "tunnel range 10.4.0.0/16 of cluster east, admitted first, at 2026-11-27T05:00:00Z "
        "(and 1 more: service). No new mirrors of it are made, existing ones stay but are not "
        "ready, no peers are set, nothing is deleted; other clusters go on. Way out: give north "
        "another --subnet of its Kilo agents (both have Kilo's default); if what it declares is "
        "wrong, set tunnel_cidrs of its watcher."
    )


def test_own_ranges_are_named_as_the_reason() -> None:
    """Nobody was first: the importing cluster's own ranges always win."""
    assert "overlaps with west's own pod range 10.96.0.0/12, and own ranges always win" in explain(
        WEST, [SERVICES]
    )


def test_a_cluster_that_is_away_keeps_its_place() -> None:
    """The record alone tells of it, so what its range is for is not known."""
    away = Overlap(
        refused=NORTH,
        cidr="10.1.0.0/16",
        use="pod",
        with_cluster=EAST,
        with_cidr="10.0.0.0/8",
        with_use=None,
        since="2026-11-27T05:00:00Z",
    )

    assert "recorded range 10.0.0.0/8 of cluster east (away now, but its place is kept)" in explain(
        WEST, [away]
    )


WAYS_OUT: dict[Use, tuple[str, str]] = {
    "service": ("--service-cluster-ip-range", "service_cidrs"),
    "pod": ("--cluster-cidr", "pod_cidrs"),
    "tunnel": ("--subnet", "tunnel_cidrs"),
}


@pytest.mark.parametrize("use", WAYS_OUT)
def test_the_way_out_depends_on_what_the_range_is_for(use: Use) -> None:
    """It names the flag that sets the range, and Heliograph's own setting."""
    flag, setting = WAYS_OUT[use]
    overlap = Overlap(
        refused=NORTH,
        cidr="10.1.0.0/16",
        use=use,
        with_cluster=EAST,
        with_cidr="10.1.0.0/16",
        with_use="tunnel",
    )

    assert flag in explain(WEST, [overlap])
    assert setting in explain(WEST, [overlap])


@pytest.mark.parametrize("use", WAYS_OUT)
@pytest.mark.parametrize("with_use", ["service", None])
def test_the_longest_sentence_fits_into_an_event(use: Use, with_use: Use | None) -> None:
    """Kubernetes cuts the note of an event at 1,024 bytes."""
    refused, other, here = (ClusterId(letter * 63) for letter in "abc")
    longest = "fd00:1111:2222:3333:4444:5555:6666:7777/128"
    overlaps = [
        Overlap(
            refused=refused,
            cidr=longest,
            use=each,
            with_cluster=other,
            with_cidr=longest,
            with_use=with_use,
            since="2026-11-27T05:00:00.000000Z",
        )
        for each in (use, "service", "pod", "tunnel", *("service",) * 996)
    ]

    assert len(explain(here, overlaps).encode()) <= 1000
