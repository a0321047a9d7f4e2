"""A change of keys carried out: on files, a device and a Node; the steps are `rotation`'s."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from heliograph.bus.background import alongside
from heliograph.contract.messages import Link, LinkStated
from heliograph.contract.names import ClusterId
from heliograph.imports.heard import Heard
from heliograph.imports.link_table import Statement
from heliograph.kube.objects import ObjectMeta
from heliograph.wireguard.device import Device, DevicePeer
from heliograph.wireguard.errors import TunnelBusy
from heliograph.wireguard.interface import Interface
from services.peerer.wireguard import rotation
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.keeping import Keeper
from services.peerer.wireguard.own_node import OwnNode
from services.peerer.wireguard.rotating import Rotating
from services.peerer.wireguard.rotation import PeerSeen, Report, parse_report
from services.peerer.wireguard.seen import prepared_for, see_peers
from services.peerer.wireguard.settings import AgentSettings
from services.peerer.wireguard.tunnels import Standing
from tests.bus.support import eventually
from tests.support.peers import EAST, HERE, but, key
from tests.support.tunnels import NEXT, Known, agents_node, standing

ROTATE, REPORT = "heliograph.io/rotate-keys", "heliograph.io/key-rotation"
NEXT_KEY, WEST = "heliograph.io/next-public-key", ClusterId("west")


class Tunnels:
    """In place of the node's tunnels: only the key of the device is of interest here.

    Attributes:
        fails: How often opening fails from now on.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity, self.fails = identity, 0
        self.standing: Standing | None = None
        self.calls = 0
        self._open(None)

    def _open(self, found: str | None) -> None:
        device = Device(public_key=self._identity.key_for(found).public)
        self.standing = Standing(device=device, interface=Interface(mtu=1420, up=True))

    async def open(self) -> None:
        """Set the key of the device."""
        if self.fails:
            self.fails -= 1
            raise TunnelBusy("no buffer space")
        self._open(self.standing.device.public_key if self.standing else None)

    async def look(self) -> bool:
        """Look; what was forgotten is opened anew."""
        if self.standing is None:
            await self.open()
        return False

    def ask_all(self) -> None:
        """Count."""
        self.calls += 1

    def forget(self) -> None:
        """Take that what stands is not known."""
        self.standing = None


class Ground:
    """A node whose Node says at once what it should, and all that its agent has."""

    def __init__(self, folder: Path) -> None:
        self.annotations: dict[str, str] = {}
        self.reports: list[Report] = []
        self.picture = Known({})
        own = AgentSettings(node="h1", key_file=folder / "wireguard.key")
        self.identity = Identity(own, self.picture)
        self.tunnels = Tunnels(self.identity)
        self.rotating = Rotating(
            "h1",
            self.picture,
            self.identity,
            cast("Keeper", self.tunnels),
            own_node=lambda: self.node,
            changed=self.say,
        )
        self.files = folder

    @property
    def node(self) -> OwnNode:
        """The Node as it stands."""
        return OwnNode(metadata=ObjectMeta(name="h1", annotations=dict(self.annotations)))

    def say(self) -> None:
        """Let the Node say what it should."""
        asyncio.get_running_loop().call_soon(self._say)

    def _say(self) -> None:
        for name, text in self.rotating.annotations(self.node).items():
            if text is None:
                self.annotations.pop(name, None)
            else:
                self.annotations[name] = text
        report = parse_report(self.annotations.get(REPORT, ""))
        if report is not None and (not self.reports or self.reports[-1] != report):
            self.reports.append(report)
        self.rotating.look()

    async def change(self, asked: str) -> list[str]:
        """Ask for a new key; return the stages until the request is answered."""
        self.annotations[ROTATE] = asked
        self.reports.clear()
        async with alongside(self.rotating.run()):
            self.say()
            await eventually(lambda: self.reports and ROTATE not in self.annotations)
            await eventually(lambda: self.identity.following is None)
        return [report.stage for report in self.reports]


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Return a node with nobody around; ranges elsewhere need no time to follow."""
    monkeypatch.setattr(rotation, "SETTLE_S", 0.0)
    return Ground(tmp_path)


def device_key(ground: Ground) -> str | None:
    assert ground.tunnels.standing is not None
    return ground.tunnels.standing.device.public_key


async def test_it_goes_through_all_stages(ground: Ground) -> None:
    """Key, device and Node are new in the end; the request is gone, and its outcome is told."""
    old = ground.identity.key.public
    stages = await ground.change("please")

    assert stages == ["preparing", "trying", "done"]
    assert ground.identity.key.public not in {old, None}
    assert device_key(ground) == ground.identity.key.public
    assert set(ground.annotations) == {REPORT}
    assert ground.reports[-1].asked == "please"
    assert [f.name for f in ground.files.iterdir()] == ["wireguard.key"]
    assert ground.tunnels.calls == 1


async def test_keys_change_again_and_again(ground: Ground) -> None:
    """One change leaves nothing behind that hinders the next."""
    keys = {ground.identity.key.public}
    for number in range(3):
        assert (await ground.change(f"request {number}"))[-1] == "done"
        keys.add(ground.identity.key.public)
    assert len(keys) == 4


async def test_a_key_that_cannot_be_kept_is_not_used(ground: Ground) -> None:
    """The folder takes no file: the reason is told, and the present key stays."""
    old = ground.identity.key.public
    blocking = ground.files / "wireguard.key.next.new"
    blocking.mkdir()
    ground.annotations[ROTATE] = "please"
    async with alongside(ground.rotating.run()):
        ground.say()
        await eventually(lambda: ground.reports and ROTATE not in ground.annotations)

    assert ground.reports[-1].stage == "failed"
    assert "cannot be used" in ground.reports[-1].said
    assert (ground.identity.key.public, device_key(ground)) == (old, old)


async def test_a_key_that_cannot_take_the_place_is_not_used_any_more(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device had it already, and goes back to the present one."""
    old = ground.identity.key.public

    def refuse(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", _only_next(refuse))
    stages = await ground.change("please")

    assert stages[-1] == "failed"
    assert "Read-only file system" in ground.reports[-1].said
    assert (ground.identity.key.public, device_key(ground)) == (old, old)
    assert [f.name for f in ground.files.iterdir()] == ["wireguard.key"]


def _only_next(refuse: Any) -> Any:  # noqa: ANN401
    """Return what refuses to put the next key in the present one's place, and nothing else."""
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.name.endswith(".next"):
            refuse()
        return real(path, target)

    return replace


async def test_a_device_that_fails_gets_its_key_later(ground: Ground) -> None:
    """Who sets the tunnels up next sets the key that is in use now."""
    ground.tunnels.fails = 1
    assert (await ground.change("please"))[-1] == "done"
    assert device_key(ground) == ground.identity.key.public


async def test_what_a_predecessor_announced_stands_until_it_is_known_how_far_it_came(
    ground: Ground,
) -> None:
    """Taking it back would make others forget a key that the device may use already."""
    ground.identity.make_next()
    following = ground.identity.following
    assert following is not None
    ground.annotations[ROTATE] = "before"
    assert ground.rotating.annotations(ground.node)[NEXT_KEY] == following.public


def test_others_are_seen_as_a_change_depends_on_them() -> None:
    """Answering, silent, prepared, changing themselves; with the latest handshake of any key."""
    picture = Known(
        {"n1": agents_node(1), "n2": agents_node(2, next_public_key=NEXT[2]), "n3": agents_node(3)}
    )
    one, two = DevicePeer(public_key=key(1), last_handshake_s=5.0), DevicePeer(public_key=key(2))
    following = DevicePeer(public_key=NEXT[2], last_handshake_s=7.0)
    device = standing(one, two, following)
    picture.health.look(device, now_s=0)
    for second in range(1, 9):
        rising = but(one, rx_bytes=second)
        picture.health.look(standing(rising, two, following), now_s=3.0 * second)

    assert see_peers(picture, device, {"east/n2"}) == (
        PeerSeen(name="east/n1", answering=True, handshake_s=5.0),
        PeerSeen(name="east/n2", silent=True, prepared=True, changing=True, handshake_s=7.0),
        PeerSeen(name="east/n3"),
    )


def test_who_states_that_it_is_prepared_is() -> None:
    """For this very key of this very cluster."""

    def stated(*links: Link) -> Statement:
        return Statement(stated=LinkStated(links=links), heard=Heard(stored_at_ns=1, at_s=1.0))

    links = {
        EAST: {
            "n1": stated(Link(exporting=WEST), Link(exporting=HERE, prepared=(key(1), NEXT[1]))),
            "n2": stated(Link(exporting=WEST, prepared=(NEXT[1],))),
            "n3": stated(Link(exporting=HERE, prepared=(key(1),))),
        },
        WEST: {"w1": stated(Link(exporting=HERE, prepared=(NEXT[1],)))},
    }
    assert prepared_for(NEXT[1], HERE, links) == {"east/n1", "west/w1"}
    assert prepared_for(None, HERE, links) == frozenset()
