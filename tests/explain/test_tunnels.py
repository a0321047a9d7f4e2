"""Claim and tunnel: Kilo's Peers with real peerers, and agents that answer over a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer, stream_info
from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name
from heliograph.contract.tunnels import Tunnel, TunnelState
from heliograph.lab.memory import JsonObject
from services.peerer.wireguard.answering import Answering
from tests.explain.conftest import FIRST, Explain, Join, Links
from tests.support.builders import KEY
from tests.support.joined import JoinedClusters, eventually
from tests.support.peering import Peered, key_of, peered

pytestmark = pytest.mark.nats

WEST = ClusterId("west")
SERVICES = "10.110.0.0/16"


@asynccontextmanager
async def with_kilo(
    folder: Path, nats: EmbeddedServer, *, start: bool = True
) -> AsyncIterator[Peered]:
    """Join two clusters on which Kilo runs, with a mirror of east's cart in west."""
    async with peered(folder, "east", "west", url=nats.url, start=False) as lab:
        export(lab.lab)
        if start:
            await lab.start("east", "west")
            await mirror(lab.lab)
        yield lab


def export(lab: JoinedClusters) -> None:
    lab["east"].export()
    lab["east"].set_pods({lab["east"].pod(1): {}})


async def mirror(lab: JoinedClusters) -> None:
    """Start west's reflector, and wait for the mirror."""
    await lab.start_reflector("west")
    await eventually(lambda: list(lab["west"].backends().values()) == [True])


def found(links: Links) -> tuple[str, str]:
    """Return the first broken link: its name and reason."""
    return links[FIRST]["name"], links[FIRST]["reason"]


async def until(explain: Explain, name: str, reason: str) -> Links:
    """Explain until a link has a reason: programs state what they have decided a moment later."""
    async with asyncio.timeout(15):
        while (links := await explain())[name]["reason"] != reason:
            pass
    return links


async def test_kilo_routes_it(nats: EmbeddedServer, tmp_path: Path, explain: Explain) -> None:
    """The Peer with the claim is named; whether it answers, only the node can tell."""
    async with with_kilo(tmp_path, nats):
        links = await explain()

        assert FIRST not in links
        assert links["claim"]["state"] == "ok"
        assert "Peer east.node.n" in links["claim"]["what"]
        assert links["tunnel"]["state"] == "unknown"
        assert "wg show kilo0" in links["tunnel"]["what"]


async def test_a_peerer_that_does_not_run(
    nats: EmbeddedServer, tmp_path: Path, explain: Explain
) -> None:
    """There is a mirror, and no way to it."""
    async with with_kilo(tmp_path, nats, start=False) as lab:
        for name in ("east", "west"):
            await lab.lab.start_watcher(name)
        await mirror(lab.lab)

        links = await explain()

        assert found(links) == ("claim", "NotClaimed")
        assert "10.110." in links[FIRST]["what"]
        assert "peerer of cluster west" in links[FIRST]["cure"]


async def test_a_peer_of_somebody_else_has_the_range(
    nats: EmbeddedServer, tmp_path: Path, explain: Explain
) -> None:
    """It was there first: the peerer leaves it, and says so on the bus."""
    async with with_kilo(tmp_path, nats, start=False) as lab:
        lab.apply_peer("west", "vpn", key_of("vpn"), SERVICES)
        await lab.start("east", "west")
        await mirror(lab.lab)

        links = await until(explain, "claim", "RangeTaken")

        assert found(links) == ("claim", "RangeTaken")
        assert "Peer vpn" in links[FIRST]["what"]


async def test_a_peer_made_by_hand_does_it_too(
    nats: EmbeddedServer, tmp_path: Path, explain: Explain
) -> None:
    """With the key of a node there: nothing is broken, and it is said whose it is."""
    async with with_kilo(tmp_path, nats, start=False) as lab:
        lab.apply_peer("west", "by-hand", key_of("east/n1"), "10.42.1.0/24", SERVICES)
        await lab.start("east", "west")
        await mirror(lab.lab)

        links = await until(explain, "claim", "ForeignPeer")

        assert links["claim"]["state"] == "ok"


async def test_a_node_that_changed_its_key(
    nats: EmbeddedServer, tmp_path: Path, explain: Explain
) -> None:
    """While the peerer does not run: the Peer has the old one."""
    async with with_kilo(tmp_path, nats) as lab:
        await lab.lab.stop("peerer", "west")
        for name in ("n1", "n2"):
            lab.annotate("east", name, key=key_of(f"new/{name}"))

        links = await until(explain, "tunnel", "KeyDiffers")

        assert found(links) == ("tunnel", "KeyDiffers")


@asynccontextmanager
async def with_agents(join: Join, state: TunnelState) -> AsyncIterator[None]:
    """Join two clusters with nodes of Heliograph's own; the agent of w1 tells of one tunnel."""
    async with join("east", "west", start=False) as lab:
        for name in ("east", "west"):
            lab[name].api.apply(node(f"{name[0]}1", lab[name].number))
            await lab.start_watcher(name)
        export(lab)
        await mirror(lab)
        tunnel = Tunnel(
            exporting="east",
            peer="e1",
            public_key=KEY,
            state=state,
            ranges=("10.42.1.0/24", SERVICES),
            claims=(SERVICES,),
        )
        async with lab.bus("west") as bus:
            answering = Answering(bus, WEST, "w1", lambda: (tunnel,))
            async with alongside(answering.run()):
                await stream_info(bus, stream_name(WEST))  # the server knows who listens by then
                yield


def node(name: str, number: int) -> JsonObject:
    """Return a node on which an agent of Heliograph runs."""
    said = {
        "public-key": key_of(name),
        "endpoint": f"203.0.113.{number}:51820",
        "tunnel-ip": f"100.64.{number}.1/24",
    }
    metadata = {"name": name, "annotations": {f"heliograph.io/{k}": v for k, v in said.items()}}
    cidr = f"10.{42 + number}.1.0/24"
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("state", "reason"),
    [("silent", "TunnelSilent"), ("roaming", "TunnelRoaming"), ("answering", "")],
)
async def test_an_agent_tells_of_its_tunnel(
    join: Join, explain: Explain, state: TunnelState, reason: str
) -> None:
    """What `heliograph peers` shows is judged: the last link of the chain."""
    async with with_agents(join, state):
        links = await explain()

    assert links["claim"]["state"] == "ok"
    assert links["tunnel"]["reason"] == reason
    assert (FIRST in links) == bool(reason)
