"""Messages of nodes that get lost, come twice, in another order, or as nonsense: Peers end right.

As with Services (test_message_faults.py), but a mesh is made of all nodes at once: half of them
would be wrong for everyone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from heliograph.contract.headers import EPOCH
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name
from tests.faults.way import Meddling, Way, meddlings
from tests.support.joined import bus_server, eventually
from tests.support.peering import Peered, key_of, peered

pytestmark = pytest.mark.nats

EAST = ClusterId("east")
SERVICES = "10.110.0.0/16"
NEWER = b'{"type":"node.announced.v9","public_key":"another"}'
WITHDRAWN = b'{"type":"node.withdrawn.v1"}'
MEDDLINGS = meddlings("node", NEWER)
N1, N2, N3, N4 = (f"east.node.n{number}" for number in (1, 2, 3, 4))


@asynccontextmanager
async def meddled(folder: Path) -> AsyncIterator[tuple[Peered, Way]]:
    """Run two clusters, east with three nodes; west's peerer starts next, by a way that meddles."""
    way = Way("node")
    async with (
        bus_server(folder / "nats") as server,
        peered(folder, "east", "west", url=server.url, start=False) as lab,
    ):
        lab.add_node("east", "n3", 3)
        await lab.start("east", "west")
        await lab.lab.stop("peerer", "west")
        lab.lab.imported = lambda bus: way.seen(bus)  # noqa: PLW0108 - looked up when it is called
        yield lab, way


def uids(lab: Peered) -> dict[str, str]:
    """Return the uid of each of west's Peers."""
    return {name: peer["metadata"]["uid"] for name, peer in lab.peers("west").items()}


def deleted(lab: Peered) -> int:
    """Return how many Peers were deleted in west."""
    return lab["west"].api.requests["delete", "peers"]


@pytest.mark.parametrize(("count", "meddling"), MEDDLINGS.values(), ids=MEDDLINGS)
async def test_a_replay_with_faults(count: int, meddling: Meddling, tmp_path: Path) -> None:
    """At the start of a peerer: nothing at all is written."""
    async with meddled(tmp_path) as (lab, way):
        before = lab.versions("west")
        way.meddle(count, meddling)
        await lab.lab.start_peerer("west")
        await lab.settled("east", "west")
        await eventually(lambda: way.done and lab["west"].peerer.ready)
        assert lab.versions("west") == before


@pytest.mark.parametrize(("count", "meddling"), MEDDLINGS.values(), ids=MEDDLINGS)
async def test_changes_with_faults(count: int, meddling: Meddling, tmp_path: Path) -> None:
    """A new key, a node that goes and one that comes, meddled with: all is right in the end."""
    async with meddled(tmp_path) as (lab, way):
        await lab.lab.start_peerer("west")
        await lab.settled("east", "west")
        before, deletions = uids(lab), deleted(lab)
        way.meddle(count, meddling)

        lab.annotate("east", "n1", key=key_of("new"))
        lab.remove_node("east", "n2")
        lab.add_node("east", "n4", 4)

        def right() -> bool:
            peers = lab.peers("west")
            return (
                sorted(peers) == [N1, N3, N4]
                and peers[N1]["spec"]["publicKey"] == key_of("new")
                and len(lab.holders("west", SERVICES)) == 1
                and [lab.allowed("west", n)[2] for n in (N1, N3, N4)]
                == [f"10.4.0.{number}/32" for number in (1, 2, 3)]
            )

        await eventually(right)
        await eventually(lambda: way.done and lab["west"].peerer.idle)
        assert right()
        assert {n: u for n, u in uids(lab).items() if n in before} == {
            n: u for n, u in before.items() if n != N2
        }
        assert deleted(lab) - deletions == 1


async def test_a_node_that_the_server_lost(tmp_path: Path) -> None:
    """A peerer that starts then writes nothing, and the watcher's comparison makes it good."""
    async with meddled(tmp_path) as (lab, _), lab.lab.bus("east") as bus:
        before = lab.versions("west")
        body = msgspec.json.encode({"filter": "heliograph.v1.east.node.n1"})
        await bus.request(f"$JS.API.STREAM.PURGE.{stream_name(EAST)}", body)
        await lab.lab.start_peerer("west")
        await eventually(lambda: _resyncs(lab))
        assert lab.versions("west") == before

        await lab.lab.stop("watcher", "east")  # it compares when it starts, and from time to time
        await lab.lab.start_watcher("east")
        await lab.settled("east", "west")
        assert lab.versions("west") == before


async def test_a_withdrawal_of_an_older_incarnation_in_the_stream(tmp_path: Path) -> None:
    """A watcher that was believed dead speaks again: who reads its word later, writes nothing."""
    async with meddled(tmp_path) as (lab, _), lab.lab.bus("east") as bus:
        before = lab.versions("west")
        await bus.publish("heliograph.v1.east.node.n1", WITHDRAWN, {EPOCH: "1"})
        await lab.lab.start_peerer("west")
        await eventually(lambda: _resyncs(lab))
        assert lab.versions("west") == before

        await lab.lab.stop("watcher", "east")
        await lab.lab.start_watcher("east")
        await lab.settled("east", "west")
        assert lab.versions("west") == before


def _resyncs(lab: Peered) -> float:
    registry = lab["west"].peer_metrics.registry
    return registry.get_sample_value("heliograph_resyncs_total", {"exporting": "east"}) or 0
