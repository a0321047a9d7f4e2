"""What silence, a rollout of Kilo's agent and new keys do to Peers, and what they do not."""

from __future__ import annotations

import asyncio
import time

import pytest

from heliograph.kilo.peer import PEERS
from heliograph.kube.watch import Listed, ListWatch, Upserted
from tests.peerer.conftest import Peer
from tests.support.joined import eventually
from tests.support.peering import Peered, key_of

pytestmark = pytest.mark.nats

SERVICES = "10.110.0.0/16"
AGENTS = ("endpoint", "internal_ip", "key", "last_seen", "wireguard_ip", "granularity")


class Gaps:
    """Sees, by the watch alone as Kilo does, whether a range ever had no holder."""

    def __init__(self, lab: Peered) -> None:
        self._lab = lab
        self._held: dict[str, tuple[str, ...]] = {}
        self.opened = asyncio.Event()
        self.found: list[dict[str, tuple[str, ...]]] = []

    async def watch(self) -> None:
        """Watch west's Peers, for ever."""
        async with self._lab.lab.client("west") as client:
            async for event in ListWatch(client, PEERS).events():
                match event:
                    case Listed():
                        self._held = {p.metadata.name: p.spec.allowed_ips for p in event.items}
                        self.opened.set()
                    case Upserted():
                        self._held[event.object.metadata.name] = event.object.spec.allowed_ips
                    case _:
                        self._held.pop(event.object.metadata.name, None)
                if not any(SERVICES in cidrs for cidrs in self._held.values()):
                    self.found.append(dict(self._held))


async def test_the_claim_of_a_silent_node_moves_without_a_gap(peer: Peer) -> None:
    """Its Peer stays for a grace time, without its claim and its place in the tunnel."""
    async with peer("east", "west") as lab, asyncio.TaskGroup() as tasks:
        gaps = Gaps(lab)
        watching = tasks.create_task(gaps.watch())
        await gaps.opened.wait()
        (holder,) = lab.holders("west", SERVICES)
        silent = holder.removeprefix("east.node.")
        (other,) = {"n1", "n2"} - {silent}

        lab.annotate("east", silent, last_seen=str(int(time.time()) - 61))
        await eventually(lambda: lab.holders("west", SERVICES) == [f"east.node.{other}"])

        assert not gaps.found
        await eventually(lambda: "10.4.0.1/32" in lab.allowed("west", f"east.node.{other}"))
        assert lab.allowed("west", holder) == [
            f"10.42.{silent[1:]}.0/24",
            f"10.20.0.{silent[1:]}/32",
        ]

        lab.annotate("east", silent, last_seen=str(int(time.time())))
        await eventually(lambda: len(lab.allowed("west", holder)) == 3)
        await lab.settled("east", "west")
        assert lab.holders("west", SERVICES) == [f"east.node.{other}"]  # nothing moves without need
        watching.cancel()


async def test_a_rollout_of_kilos_agent_writes_nothing(peer: Peer) -> None:
    """Annotations vanish from every node and come back: no Peer is touched."""
    async with peer("east", "west") as lab:
        before = lab.versions("west")
        nodes = {name: lab["east"].api.get("Node", "", name) for name in ("n1", "n2")}
        for name, node in nodes.items():
            lab.annotate("east", name, **dict.fromkeys(AGENTS))
            lab.annotate("east", name, location="moved-label")  # the watcher has seen it by then
            lab.annotate("east", name, location=None)
            lab["east"].api.apply(node)
        lab.add_node("east", "n3", 3)
        await eventually(lambda: "east.node.n3" in lab.peers("west"))
        await lab.settled("west")

        after = lab.versions("west")
        assert {name: after[name] for name in before} == before


async def test_heartbeats_write_nothing(peer: Peer) -> None:
    """A beat says nothing but that the node is there."""
    async with peer("east", "west") as lab:
        before = lab.versions("west")
        for beat in range(20):
            lab.annotate("east", "n1", last_seen=str(int(time.time()) - 20 + beat))
        lab.add_node("east", "n3", 3)
        await eventually(lambda: "east.node.n3" in lab.peers("west"))
        after = lab.versions("west")
        assert {name: after[name] for name in before} == before


async def test_a_new_key_is_one_update(peer: Peer) -> None:
    """The Peer stays the same object, and changes once."""
    async with peer("east", "west") as lab:
        before = lab.peers("west")["east.node.n1"]["metadata"]
        lab.annotate("east", "n1", key=key_of("new"))
        await eventually(
            lambda: lab.peers("west")["east.node.n1"]["spec"]["publicKey"] == key_of("new")
        )
        await lab.settled("west")
        after = lab.peers("west")["east.node.n1"]["metadata"]
        assert after["uid"] == before["uid"]
        assert after["generation"] == before["generation"] + 1
        assert (lab.writes("west", "create"), lab.writes("west", "delete")) == (2, 0)


async def test_two_nodes_with_one_key(peer: Peer) -> None:
    """The first keeps it; the other is refused, and peered with once it has a key of its own."""
    async with peer("east", "west") as lab:
        lab.add_node("east", "n3", 3, key=key_of("east/n1"))
        await eventually(lambda: lab["west"].peerer.refused("east") == ("DuplicateKey",))
        assert sorted(lab.peers("west")) == ["east.node.n1", "east.node.n2"]

        lab.annotate("east", "n3", key=key_of("its own"))
        await eventually(lambda: "east.node.n3" in lab.peers("west"))
        await eventually(lambda: lab["west"].peerer.refused("east") == ())
