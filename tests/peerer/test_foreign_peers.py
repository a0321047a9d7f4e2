"""Peers that people made: never touched, never doubled, taken over when they say so."""

from __future__ import annotations

import pytest

from heliograph.cli.planned_peers import adopt
from tests.peerer.conftest import Peer
from tests.support.joined import eventually
from tests.support.peering import Peered, key_of

pytestmark = pytest.mark.nats

SERVICES = "10.110.0.0/16"


async def by_hand(lab: Peered, name: str = "by-hand") -> None:
    """Make the Peer of east's n1 as Kilo's page says, and start the programs."""
    lab.apply_peer("west", name, key_of("east/n1"), "10.42.1.0/24", SERVICES)
    await lab.start("east", "west")


async def test_a_peer_made_by_hand_is_reported_and_never_doubled(peer: Peer) -> None:
    """Two Peers with one key would break Kilo; nor is its range of cluster IPs given away."""
    async with peer("east", "west", start=False) as lab:
        await by_hand(lab)

        assert sorted(lab.peers("west")) == ["by-hand", "east.node.n2"]
        assert lab.holders("west", SERVICES) == ["by-hand"]
        assert lab["west"].peerer.refused("east") == ("ForeignPeer",)
        (event,) = await eventually(lambda: lab["west"].events("ForeignPeer"))
        assert "heliograph adopt peers" in event["message"]


async def test_it_is_taken_over_in_place(peer: Peer, tmp_path: object) -> None:
    """It keeps its name, its UID and its preshared key; the rest is brought to order."""
    async with peer("east", "west", start=False) as lab:
        await by_hand(lab)
        before = lab.peers("west")["by-hand"]
        before["spec"]["presharedKey"] = key_of("agreed")
        lab["west"].api.apply(before)

        await adopt([f"east={tmp_path}/east"], f"west={tmp_path}/west")

        await eventually(lambda: "10.20.0.1/32" in lab.allowed("west", "by-hand"))
        await lab.settled("west")
        after = lab.peers("west")["by-hand"]
        assert sorted(lab.peers("west")) == ["by-hand", "east.node.n2"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["spec"]["presharedKey"] == key_of("agreed")
        assert lab.holders("west", SERVICES) == ["by-hand"]
        assert lab["west"].peerer.refused("east") == ()


async def test_a_laptop_keeps_its_range(peer: Peer) -> None:
    """A foreign Peer was there first: what overlaps with it is left out of ours, and told."""
    async with peer("east", "west", start=False) as lab:
        laptop = lab.apply_peer("west", "laptop", key_of("laptop"), "10.42.1.7/32")
        await lab.start("east", "west")

        assert "10.42.1.0/24" not in lab.allowed("west", "east.node.n1")
        assert "10.20.0.1/32" in lab.allowed("west", "east.node.n1")
        assert lab["west"].peerer.refused("east") == ("RangeTaken",)
        assert lab.peers("west")["laptop"] == laptop

        lab["west"].api.delete("Peer", "", "laptop")
        await eventually(lambda: "10.42.1.0/24" in lab.allowed("west", "east.node.n1"))
        await eventually(lambda: lab["west"].peerer.refused("east") == ())
