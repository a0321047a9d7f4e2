"""Who held a range, event by event: what the demo shows, and whether there was a gap."""

from __future__ import annotations

import pytest

from heliograph.demo.holders import Holders
from heliograph.kilo.peer import Peer, PeerSpec
from heliograph.kube.objects import ObjectMeta

CIDR = "10.96.0.0/19"


def watched(*events: str) -> Holders:
    """Return what is known after events; each names the Peers that hold the range."""
    holders = Holders(CIDR)
    for names in events:
        others = Peer(metadata=ObjectMeta(name="x"), spec=PeerSpec(allowed_ips=("10.0.0.0/24",)))
        spec = PeerSpec(allowed_ips=("10.1.0.0/24", CIDR))
        peers = [Peer(metadata=ObjectMeta(name=name), spec=spec) for name in names.split()]
        holders.record([others, *peers])
    return holders


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        ((), True),
        (("", ""), True),
        (("", "a", "a b", "b"), True),
        (("a", "", "b"), False),
        (("", "a", ""), False),
    ],
)
def test_a_gap_is_seen(events: tuple[str, ...], kept: bool) -> None:  # noqa: FBT001 - a row's
    """Once somebody has held the range, nobody must lack it after any later event."""
    assert watched(*events).kept is kept


def test_a_move_is_told_from_a_moment_on() -> None:
    """What did not change is told once."""
    holders = watched("", "a", "a")
    mark = holders.mark()
    assert (holders.now, holders.since(mark)) == (("a",), [("a",)])

    for names in ("a", "b a", "b", "b"):
        holders.record(
            Peer(metadata=ObjectMeta(name=name), spec=PeerSpec(allowed_ips=(CIDR,)))
            for name in names.split()
        )
    assert holders.since(mark) == [("a",), ("a", "b"), ("b",)]
    assert holders.now == ("b",)


def test_before_any_event_nobody_holds_it() -> None:
    """There is nothing to tell."""
    holders = Holders(CIDR)

    assert (holders.now, holders.mark(), holders.since(0)) == ((), 0, [])
