"""A request from a pod in west to a Service in east, with real packets through our own tunnels.

Nothing by hand but `heliograph` and `kubectl`, on real control planes, kube-proxy and CoreDNS.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from ipaddress import IPv4Interface

import pytest

from heliograph.lab.network import (
    Asker,
    Cluster,
    Program,
)
from tests.support.mesh import Mesh, running_mesh
from tests.support.network import (
    TWO_CLUSTERS,
    ask,
    echo,
    failed,
    require_network,
    running_laboratory,
)
from tests.support.planes import built_binary

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels: {{heliograph.io/export: "true"}}
  annotations: {{heliograph.io/endpoints: {mode}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
BOUND_S = 15.0
"""Within which a peer that stopped answering loses its claims, by the documentation."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join two clusters of two nodes each."""
    require_network()
    built_binary()
    folder = tmp_path_factory.mktemp("laboratory")
    with (
        running_laboratory(TWO_CLUSTERS, folder) as laboratory,
        running_mesh(laboratory) as running,
    ):
        yield running


def west(mesh: Mesh) -> Cluster:
    return mesh.laboratory.clusters["west"]


def east(mesh: Mesh) -> Cluster:
    return mesh.laboratory.clusters["east"]


async def serve(mesh: Mesh, app: str, *, node: str = "e2", mode: str = "cluster-ip") -> None:
    """Run a backend in east behind a Service that is exported."""
    manifest = SERVICE.format(name=app, mode=mode)
    (await east(mesh).kubectl("apply", "--filename=-", stdin=manifest)).text()
    await east(mesh).add_pod(f"{app}-1", node=node, labels={"app": app}, serves=8080)


async def asking(mesh: Mesh, app: str, *, node: str = "w1") -> Asker:
    """Let a pod in west ask for a Service of east by its DNS name, until it is answered once."""
    client = await west(mesh).add_pod(f"{app}-client", node=node)
    asker = client.ask(f"http://{app}.default.svc.cluster.local/")
    await asker.next_ok(within_s=60)
    return asker


def is_back(agent: Program) -> bool:
    """Tell whether an agent that was stopped and started has heard everything anew."""
    return "replay confirmed" in agent.settings.log.read_text().rpartition('"stopping"')[2]


@pytest.mark.parametrize("mode", ["cluster-ip", "pods"])
@pytest.mark.parametrize("node", ["e1", "e2"])
async def test_a_pod_in_west_is_answered_by_a_pod_in_east(mesh: Mesh, mode: str, node: str) -> None:
    """By its DNS name, wherever the backend runs: the claim's holder is one of these nodes."""
    app = f"web-{mode}-{node}"
    await serve(mesh, app, node=node, mode=mode)
    asker = await asking(mesh, app)
    answers = asker.stop()

    assert answers[-1].said == f"{app}-1"


async def test_ten_megabytes_cross_both_ways(mesh: Mesh) -> None:
    """Pods have an MTU of 1500, the tunnels less: segments are made to fit."""
    await serve(mesh, "large", node="e2")
    asker = await asking(mesh, "large", node="w2")
    asker.stop()
    client = west(mesh).pod("large-client")
    moved = await client.transfer("http://large.default.svc.cluster.local/", 10_000_000)

    assert moved.text() == "fetched 10000000 bytes and sent 10000000\n"


async def test_the_underlay_shows_no_plain_text(mesh: Mesh) -> None:
    """What passes the router between the clusters is WireGuard, and the names stay inside."""
    await serve(mesh, "secret", node="e1")
    asker = await asking(mesh, "secret")
    capture = await mesh.laboratory.router.capture("east")
    began = (await asker.next_ok()).at
    await asker.next_ok()
    seen = capture.stop()
    asker.stop()

    assert failed(asker, began) == []
    assert len(seen) > 1000
    assert b"secret" not in seen
    assert b"HTTP/1" not in seen


async def test_no_request_fails_while_agents_restart(mesh: Mesh) -> None:
    """Tunnels outlive the agents, which find everything as it should be when they are back."""
    await serve(mesh, "lasting", node="e2")
    asker = await asking(mesh, "lasting")
    began = (await asker.next_ok()).at
    for name in ("w1", "e1", "e2"):
        agent = mesh.agents[name]
        agent.restart()
        await agent.until(functools.partial(is_back, agent), within_s=30)
        await asker.next_ok()
    for program in (mesh.watchers["east"], mesh.reflectors["west"]):
        program.restart()
        await asker.next_ok()
    asker.stop()

    assert failed(asker, began) == []


async def test_it_ends_when_the_service_is_withdrawn(mesh: Mesh) -> None:
    """Without the label the mirror goes, and its name with it."""
    await serve(mesh, "passing", node="e1")
    asker = await asking(mesh, "passing")
    (await east(mesh).kubectl("label", "service", "passing", "heliograph.io/export-")).text()
    await asker.until(lambda seen: len(seen) > 3 and not any(a.ok for a in seen[-3:]))
    asker.stop()


async def test_claims_move_from_a_node_that_does_not_answer(mesh: Mesh) -> None:
    """Within the stated bound another node has them, whichever had them: each in its turn."""
    await serve(mesh, "moving", node="e2")
    asker = await asking(mesh, "moving")
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


async def answers_inside(mesh: Mesh, name: str) -> None:
    """Wait until a node of east answers one of west through the tunnel."""
    annotation = r"{.metadata.annotations.heliograph\.io/tunnel-ip}"
    said = await east(mesh).kubectl("get", "node", name, "--output", f"jsonpath={annotation}")
    address = IPv4Interface(said.text()).ip
    server = await echo(east(mesh).node(name))
    while not await ask(west(mesh).node("w1"), address):
        pass  # each attempt takes its time, and the test has a limit
    server.stop()
