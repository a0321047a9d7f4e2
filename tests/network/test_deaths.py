"""Nodes and clusters that die: requests go on by others, and nobody is sent to the dead."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from heliograph.lab.network import ClusterSpec, LaboratorySpec, NodeSpec
from heliograph.lab.network.mesh import Mesh
from tests.support.crossing import BOUND_S, asking, claims, east, joined, serve, west

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

THREE_NODES = LaboratorySpec(
    clusters=(
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1"),), cluster_cidr=False),
        ClusterSpec(
            name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2"), NodeSpec(name="e3"))
        ),
    ),
)
"""East's kube-proxy knows the range of pods; the other tests have one that does not."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join a cluster of one node with one of three."""
    with joined(THREE_NODES, tmp_path_factory.mktemp("laboratory")) as running:
        yield running


async def ready(mesh: Mesh, app: str) -> list[bool]:
    """Return the readiness of the addresses behind a mirror in west."""
    selector = f"--selector=kubernetes.io/service-name={app}"
    said = await west(mesh).kubectl("get", "endpointslices", selector, "--output=json")
    items = json.loads(said.text())["items"]
    return [one["conditions"]["ready"] for item in items for one in item["endpoints"]]


async def test_a_cluster_that_is_silent_is_not_ready_until_it_is_back(mesh: Mesh) -> None:
    """Nothing passes between the clusters: its mirrors' addresses are not ready; then they are."""
    await serve(east(mesh), "absent", node="e2")
    asker = await asking(west(mesh), "absent")
    assert await ready(mesh, "absent") == [True]
    await mesh.laboratory.router.lose(100)
    while await ready(mesh, "absent") != [False]:
        pass  # each look takes its time, and the test has a limit
    await mesh.laboratory.router.lose(0)
    while await ready(mesh, "absent") != [True]:
        pass
    await asker.next_ok()
    asker.stop()


async def test_requests_go_on_when_the_node_with_the_claim_dies(mesh: Mesh) -> None:
    """Within the stated bound, by another node that has the claim then; and once more."""
    await serve(east(mesh), "bereaved", node="e3")
    asker = await asking(west(mesh), "bereaved")
    for _ in range(2):
        (holder,) = await claims(mesh, "w1")
        if holder == "e3":  # the backend's own node must not die
            await move_claim(mesh)
            (holder,) = await claims(mesh, "w1")
        east(mesh).node(holder).kill()
        died_at = time.time()
        await asker.until(
            lambda seen, at=died_at: seen[-1].at > at + BOUND_S + 2 and seen[-1].ok,  # type: ignore[misc]
            within_s=60,
        )
        late = [a for a in asker.answers() if a.at > died_at + BOUND_S and not a.ok]
        assert late == []
        assert await claims(mesh, "w1") != [holder]
        if await claims(mesh, "w1") == ["e3"]:
            break
    asker.stop()


async def move_claim(mesh: Mesh) -> None:
    """Let the claim move from the node that has it, by cutting that one off for a while."""
    node = east(mesh).node("e3")
    await mesh.laboratory.router.block(node)
    while await claims(mesh, "w1") == ["e3"]:
        pass  # each look takes its time, and the test has a limit
    await mesh.laboratory.router.unblock(node)
