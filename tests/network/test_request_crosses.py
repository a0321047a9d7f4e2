"""A request from a pod in west to a Service in east, with real packets through our own tunnels.

Nothing by hand but `heliograph` and `kubectl`, on real control planes, kube-proxy and CoreDNS.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from heliograph.lab.network.mesh import Mesh
from tests.support.crossing import BOUND_S, answers_inside, asking, east, joined, serve, west
from tests.support.network import TWO_CLUSTERS, failed

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join two clusters of two nodes each."""
    with joined(TWO_CLUSTERS, tmp_path_factory.mktemp("laboratory")) as running:
        yield running


@pytest.mark.parametrize("mode", ["cluster-ip", "pods"])
@pytest.mark.parametrize("node", ["e1", "e2"])
async def test_a_pod_in_west_is_answered_by_a_pod_in_east(mesh: Mesh, mode: str, node: str) -> None:
    """By its DNS name, wherever the backend runs: the claim's holder is one of these nodes."""
    app = f"web-{mode}-{node}"
    await serve(east(mesh), app, node=node, mode=mode)
    asker = await asking(west(mesh), app)
    answers = asker.stop()

    assert answers[-1].said == f"{app}-1"


async def test_ten_megabytes_cross_both_ways(mesh: Mesh) -> None:
    """Pods have an MTU of 1500, the tunnels less: segments are made to fit."""
    await serve(east(mesh), "large", node="e2")
    asker = await asking(west(mesh), "large", node="w2")
    asker.stop()
    client = west(mesh).pod("large-client")
    moved = await client.transfer("http://large.default.svc.cluster.local/", 10_000_000)

    assert moved.text() == "fetched 10000000 bytes and sent 10000000\n"


async def test_the_underlay_shows_no_plain_text(mesh: Mesh) -> None:
    """What passes the router between the clusters is WireGuard, and the names stay inside."""
    await serve(east(mesh), "secret", node="e1")
    asker = await asking(west(mesh), "secret")
    capture = await mesh.laboratory.router.capture("east")
    began = (await asker.next_ok()).at
    await asker.next_ok()
    seen = capture.stop()
    asker.stop()

    assert failed(asker, began) == []
    assert len(seen) > 1000
    assert b"secret" not in seen
    assert b"HTTP/1" not in seen


async def test_it_ends_when_the_service_is_withdrawn(mesh: Mesh) -> None:
    """Without the label the mirror goes, and its name with it; with it both are back."""
    await serve(east(mesh), "passing", node="e1")
    asker = await asking(west(mesh), "passing")
    (await east(mesh).kubectl("label", "service", "passing", "heliograph.io/export-")).text()
    await asker.until(lambda seen: len(seen) > 3 and not any(a.ok for a in seen[-3:]))
    (await east(mesh).kubectl("label", "service", "passing", "heliograph.io/export=true")).text()
    await asker.next_ok()
    asker.stop()


async def test_claims_move_from_a_node_that_does_not_answer(mesh: Mesh) -> None:
    """Within the stated bound another node has them, whichever had them: each in its turn."""
    await serve(east(mesh), "moving", node="e2")
    asker = await asking(west(mesh), "moving")
    for name in ("e1", "e2"):
        node = east(mesh).node(name)
        await mesh.laboratory.router.block(node)
        blocked_at = time.time()
        await asker.until(
            lambda seen, at=blocked_at: seen[-1].at > at + BOUND_S + 2 and seen[-1].ok, within_s=60
        )
        late = [a for a in asker.answers() if a.at > blocked_at + BOUND_S and not a.ok]
        await mesh.laboratory.router.unblock(node)
        assert late == []
        await answers_inside(mesh, name)
    asker.stop()
