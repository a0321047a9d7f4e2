"""A name in an endpoint is written only where it resolves: one that does not stops all of Kilo."""

from __future__ import annotations

import pytest

from heliograph import resolve
from tests.peerer.conftest import Peer
from tests.support.joined import eventually

pytestmark = pytest.mark.nats


async def test_a_name_that_does_not_resolve_is_not_written(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the cluster goes on, people are told, and the Peer follows when the name does."""
    known: dict[str, tuple[str, ...]] = {"gw.example.com": ("203.0.113.7",)}

    async def look_up(host: str) -> tuple[str, ...]:
        return known.get(host, ())

    monkeypatch.setattr(resolve, "system_look_up", look_up)
    monkeypatch.setattr(resolve, "PERIOD_S", 0.2)
    async with peer("east", "west") as lab:
        lab.add_node("east", "n3", 3, force_endpoint="gw.example.com:51821")
        lab.add_node("east", "n4", 4, force_endpoint="nowhere.example.com:51821")
        lab.add_node("east", "n5", 5)

        await eventually(lambda: {"east.node.n3", "east.node.n5"} <= lab.peers("west").keys())
        endpoint = lab.peers("west")["east.node.n3"]["spec"]["endpoint"]
        assert endpoint == {"dnsOrIP": {"dns": "gw.example.com"}, "port": 51821}
        await eventually(lambda: lab["west"].peerer.refused("east") == ("EndpointUnresolvable",))
        assert "east.node.n4" not in lab.peers("west")

        known["nowhere.example.com"] = ("203.0.113.8",)
        await eventually(lambda: "east.node.n4" in lab.peers("west"))
        await eventually(lambda: lab["west"].peerer.refused("east") == ())


async def test_a_peer_whose_name_stops_to_resolve_is_left_as_it_is(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kilo keeps the address that it knows, as long as nobody writes the Peer."""
    known: dict[str, tuple[str, ...]] = {"gw.example.com": ("203.0.113.7",)}

    async def look_up(host: str) -> tuple[str, ...]:
        return known.get(host, ())

    monkeypatch.setattr(resolve, "system_look_up", look_up)
    monkeypatch.setattr(resolve, "PERIOD_S", 0.2)
    async with peer("east", "west") as lab:
        lab.add_node("east", "n3", 3, force_endpoint="gw.example.com:51821")
        await eventually(lambda: "east.node.n3" in lab.peers("west"))
        before = lab.versions("west")["east.node.n3"]
        known.clear()
        await eventually(lambda: lab["west"].peerer.refused("east") == ("EndpointUnresolvable",))

        lab.annotate("east", "n3", internal_ip="10.20.0.99/24")
        lab.add_node("east", "n4", 4)
        await eventually(lambda: "east.node.n4" in lab.peers("west"))
        assert lab.versions("west")["east.node.n3"] == before
