"""Nodes behind NAT, which nobody outside reaches first; and a router that loses packets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from heliograph.lab.network import ClusterSpec, LaboratorySpec, NodeSpec
from heliograph.lab.network.mesh import Mesh
from tests.support.crossing import asking, claims, east, joined, serve, west

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

BEHIND_NAT = LaboratorySpec(
    clusters=(
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1", nat=True),)),
        ClusterSpec(name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2"))),
    ),
)
LOSSES = 10
LOSSY_S = 20.0
"""Longer than it takes a claim to move from a node that does not answer."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join a cluster whose only node is behind NAT with one of two nodes."""
    with joined(BEHIND_NAT, tmp_path_factory.mktemp("laboratory"), roaming=("w1",)) as running:
        yield running


async def test_a_node_behind_nat_asks(mesh: Mesh) -> None:
    """It calls the others first, and its packets come back the way that it opened."""
    await serve(east(mesh), "outward")
    (await asking(west(mesh), "outward")).stop()


async def test_a_node_behind_nat_serves(mesh: Mesh) -> None:
    """The only holder of its cluster's claim: others find it where it called from."""
    await serve(west(mesh), "inward", node="w1")
    for node in ("e1", "e2"):
        client = await east(mesh).add_pod(f"inward-{node}", node=node)
        asker = client.ask("http://inward.default.svc.cluster.local/")
        await asker.next_ok(within_s=60)
        asker.stop()


async def test_claims_do_not_move_for_lost_packets(mesh: Mesh) -> None:
    """One packet in ten is lost for longer than silence takes; requests still get through."""
    await serve(east(mesh), "patient")
    asker = await asking(west(mesh), "patient")
    before, changes = await claims(mesh, "w1"), count_changes(mesh)
    began = len(asker.answers())
    await mesh.laboratory.router.lose(LOSSES)
    await asyncio.sleep(LOSSY_S)  # the time is what is tested
    during = [answer for answer in asker.answers()[began:] if answer.ok]
    await mesh.laboratory.router.lose(0)
    await asker.next_ok()
    asker.stop()

    assert len(during) > LOSSY_S
    assert (await claims(mesh, "w1"), count_changes(mesh)) == (before, changes)


def count_changes(mesh: Mesh) -> int:
    """Return how often the agent of the node behind NAT changed its tunnels."""
    return mesh.agents["w1"].settings.log.read_text().count("tunnels changed")
