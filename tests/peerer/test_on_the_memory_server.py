"""The peerer between clusters: what happens to nodes in one is seen as Peers in the others."""

from __future__ import annotations

import pytest

from tests.peerer.conftest import Peer
from tests.support.joined import eventually
from tests.support.peering import key_of

pytestmark = pytest.mark.nats


async def test_every_node_is_a_peer_in_the_other_cluster(peer: Peer) -> None:
    """Each Peer has what kgctl would give it, and one of them has the service range too."""
    async with peer("east", "west") as lab:
        peers = lab.peers("west")

        assert sorted(peers) == ["east.node.n1", "east.node.n2"]
        first = peers["east.node.n1"]["spec"]
        assert first["publicKey"] == key_of("east/n1")
        assert first["endpoint"] == {"dnsOrIP": {"ip": "203.0.113.1"}, "port": 51820}
        assert first["allowedIPs"][:3] == ["10.42.1.0/24", "10.20.0.1/32", "10.4.0.1/32"]
        holders = [name for name in peers if "10.110.0.0/16" in lab.allowed("west", name)]
        assert len(holders) == 1
        assert sorted(lab.peers("east")) == ["west.node.n1", "west.node.n2"]


async def test_a_node_joins_and_leaves(peer: Peer) -> None:
    """A new node is a new Peer; a deleted node's Peer goes, and its claim is elsewhere before."""
    async with peer("east", "west") as lab:
        lab.add_node("east", "n3", 3)
        await eventually(lambda: "east.node.n3" in lab.peers("west"))

        for name in ("n1", "n2"):
            lab.remove_node("east", name)
        await eventually(lambda: sorted(lab.peers("west")) == ["east.node.n3"])
        assert "10.110.0.0/16" in lab.allowed("west", "east.node.n3")


async def test_drift_is_repaired(peer: Peer) -> None:
    """A Peer of ours that somebody edits or deletes is as it was; a laptop's is left alone."""
    async with peer("east", "west") as lab:
        laptop = lab.apply_peer("west", "laptop", key_of("laptop"), "10.99.0.5/32")
        before = lab.allowed("west", "east.node.n1")
        edited = lab.peers("west")["east.node.n1"]
        edited["spec"]["allowedIPs"] = ["10.99.9.0/24"]
        lab["west"].api.apply(edited)
        lab["west"].api.delete("Peer", "", "east.node.n2")

        await eventually(lambda: lab.allowed("west", "east.node.n1") == before)
        await eventually(lambda: "east.node.n2" in lab.peers("west"))
        assert lab.peers("west")["laptop"] == laptop


async def test_a_restart_writes_nothing(peer: Peer) -> None:
    """Peers stay untouched when every program starts anew."""
    async with peer("east", "west") as lab:
        before = lab.versions("west")

        for program in ("watcher", "peerer"):
            for name in ("east", "west"):
                await lab.lab.stop(program, name)
        await lab.start("east", "west")

        assert lab.versions("west") == before


async def test_a_node_that_moves_to_another_cluster_with_its_key(peer: Peer) -> None:
    """At no time two Peers hold its key; the new one comes as soon as the old one is gone."""
    async with peer("east", "west", "south", start=False) as lab:
        await lab.start("east", "west")
        await lab.start("south")
        key = key_of("east/n1")
        lab.add_node("south", "n3", 3, key=key)  # while the old one is still announced
        await eventually(lambda: lab["west"].peerer.refused("south") == ("DuplicateKey",))
        assert "south.node.n3" not in lab.peers("west")

        lab.remove_node("east", "n1")
        await eventually(lambda: "south.node.n3" in lab.peers("west"))
        held = [p["spec"]["publicKey"] for p in lab.peers("west").values()]
        assert held.count(key) == 1
