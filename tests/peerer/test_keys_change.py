"""Ranges follow a node from its present key to its next one, and back; the other side's part."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.metrics import Metrics
from heliograph.wireguard.device import Device, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.fold import fold_device
from heliograph.wireguard.interface import Interface
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.keeping import Keeper
from services.peerer.wireguard.plan import plan_device
from services.peerer.wireguard.settings import AgentSettings
from services.peerer.wireguard.tunnels import Standing
from tests.support.peers import but, key
from tests.support.tunnels import NEXT, SERVICES, Known, agents_node, standing

OWN = frozenset({"10.1.1.0/24", "10.201.0.1/32", SERVICES})
PRESENT = DevicePeer(
    public_key=key(1),
    endpoint="203.0.113.21:51820",
    persistent_keepalive=25,
    allowed_ips=OWN,
    last_handshake_s=1000.0,
)
PREPARED = but(PRESENT, public_key=NEXT[1], allowed_ips=frozenset(), last_handshake_s=0.0)


def planned(picture: Known, device: Device) -> list[object]:
    """Return what is to be changed on a device; carried out, nothing more is."""
    wanted = picture.wanted(device, persistent_keepalive=25)
    changes = plan_device(wanted.targets, device, certain=wanted.certain)
    after = fold_device(device, changes)
    again = picture.wanted(after, persistent_keepalive=25)
    assert plan_device(again.targets, after, certain=again.certain) == ()
    return list(changes)


def holder(picture: Known, device: Device) -> str:
    """Return the key that all ranges should be at."""
    targets = picture.wanted(device, persistent_keepalive=25).targets
    (found,) = (key for key, target in targets.items() if target.ranges)
    assert targets[found].ranges == OWN
    return found


def test_the_next_key_becomes_a_peer_without_ranges() -> None:
    """Prepared, and no packet goes there."""
    picture = Known({"n1": agents_node(1, next_public_key=NEXT[1])})
    assert planned(picture, standing(PRESENT)) == [
        SetPeer(
            public_key=NEXT[1], new=True, endpoint="203.0.113.21:51820", persistent_keepalive=25
        )
    ]


@pytest.mark.parametrize(
    ("present_s", "next_s", "active"),
    [
        (1000.0, 0.0, key(1)),
        (1000.0, 1001.0, NEXT[1]),
        (1002.0, 1001.0, key(1)),
        (0.0, 1001.0, NEXT[1]),
        (0.0, 0.0, key(1)),
    ],
)
def test_ranges_are_at_the_key_with_the_later_handshake(
    present_s: float, next_s: float, active: str
) -> None:
    """They follow the node to its next key with the first handshake, and back to its present."""
    picture = Known({"n1": agents_node(1, next_public_key=NEXT[1])})
    device = standing(
        but(PRESENT, last_handshake_s=present_s), but(PREPARED, last_handshake_s=next_s)
    )
    assert holder(picture, device) == active
    assert picture.changing(device) == {active}


def test_a_move_takes_one_step_and_removes_nothing() -> None:
    """Given to the next key, the ranges are taken from the present one in the same moment."""
    picture = Known({"n1": agents_node(1, next_public_key=NEXT[1])})
    device = standing(PRESENT, but(PREPARED, last_handshake_s=1001.0))
    assert planned(picture, device) == [SetPeer(public_key=NEXT[1], add=tuple(sorted(OWN)))]


def test_afterwards_the_old_key_goes() -> None:
    """The node announces the next key as its present one: nothing moves, one peer is removed."""
    picture = Known({"n1": agents_node(1, public_key=NEXT[1])})
    device = standing(
        but(PRESENT, allowed_ips=frozenset()),
        but(PREPARED, allowed_ips=OWN, last_handshake_s=1001.0),
    )
    assert planned(picture, device) == [RemovePeer(public_key=key(1))]
    assert picture.changing(device) == frozenset()


def test_an_aborted_change_leaves_everything_as_it_was() -> None:
    """The next key is withdrawn: its peer goes, and what it had is back at the present key."""
    picture = Known({"n1": agents_node(1)})
    assert planned(picture, standing(PRESENT, PREPARED)) == [RemovePeer(public_key=NEXT[1])]
    moved = standing(
        but(PRESENT, allowed_ips=frozenset()),
        but(PREPARED, allowed_ips=OWN, last_handshake_s=1001.0),
    )
    assert planned(picture, moved) == [
        SetPeer(public_key=key(1), add=tuple(sorted(OWN))),
        RemovePeer(public_key=NEXT[1]),
    ]


def test_a_node_without_endpoint_is_prepared_without_one() -> None:
    """It will call from its next key, from wherever it is."""
    picture = Known({"n1": agents_node(1, endpoint=None, next_public_key=NEXT[1])})
    assert planned(picture, standing(PRESENT)) == [
        SetPeer(public_key=NEXT[1], new=True, persistent_keepalive=25)
    ]


def test_peers_are_looked_at_sooner_while_a_node_changes_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times a second, for each such node anew; but not for ever for one whose agent died."""
    now_s = [1000.0]
    monkeypatch.setattr("services.peerer.wireguard.keeping.time.monotonic", lambda: now_s[0])
    picture = Known({"n1": agents_node(1)})
    own = AgentSettings(node="h1", key_file=tmp_path / "wireguard.key")
    keeper = Keeper(own, picture, Identity(own, picture), Metrics("agent", "here"))
    assert keeper.next_look_s() == 1.0
    interface = Interface(mtu=1420, up=True)
    keeper.standing = Standing(device=standing(PRESENT, PREPARED), interface=interface)
    assert keeper.next_look_s() == 1.0
    picture.change({"n1": agents_node(1, next_public_key=NEXT[1])})
    assert keeper.next_look_s() == 0.1
    now_s[0] += 300
    assert keeper.next_look_s() == 1.0
    picture.change({"n2": agents_node(2, next_public_key=NEXT[2])})
    assert keeper.next_look_s() == 0.1
