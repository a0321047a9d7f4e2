from __future__ import annotations

import pytest

from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy

RANGES = {
    # case                                    range                  admitted
    "private":                               ("10.1.0.0/16",         True),
    "the same in IPv6":                      ("fd00:1::/64",         True),
    "all of a private range":                ("10.0.0.0/8",          True),
    "one address":                           ("192.168.1.34/32",     True),
    "shared address space":                  ("100.64.0.0/16",       True),
    "public":                                ("8.8.8.0/24",          False),
    "partly private":                        ("172.0.0.0/8",         False),
    "the default route":                     ("0.0.0.0/0",           False),
    "the default route, IPv6":               ("::/0",                False),
    "loopback":                              ("127.0.0.0/8",         False),
    "link-local":                            ("169.254.169.254/32",  False),
    "multicast":                             ("224.0.0.0/4",         False),
    "no range":                              ("ten/8",               False),
}  # fmt: skip


@pytest.mark.parametrize(("cidr", "admitted"), RANGES.values(), ids=RANGES)
def test_ranges_lie_wholly_inside_the_admitted_ones(cidr: str, *, admitted: bool) -> None:
    """By default these are the private ranges of both families."""
    assert RangePolicy(PRIVATE_RANGES).admits_range(cidr) is admitted


def test_who_admits_everything_admits_no_special_range() -> None:
    """A default route, loopback and the like are refused even then; public ranges are not."""
    everything = RangePolicy(("0.0.0.0/0", "::/0"))

    assert everything.admits_range("8.8.8.0/24")
    assert not any(map(everything.admits_range, ("0.0.0.0/0", "::/0", "127.0.0.1/32", "ff02::/16")))


def test_neighbours_are_admitted_as_one() -> None:
    """A range that two admitted ranges hold together is admitted."""
    halves = RangePolicy(("10.0.0.0/9", "10.128.0.0/9"))

    assert halves.admits_range("10.0.0.0/8")
