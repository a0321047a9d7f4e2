"""Real clusters in the laboratory's network: Services, cluster DNS, and pods that come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliograph.lab.network import (
    Cluster,
    Laboratory,
)
from tests.support.network import TWO_CLUSTERS, failed, require_network, running_laboratory
from tests.support.planes import built_binary

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """Give two clusters; east's kube-proxy does not know the range of pods. Each test has names."""
    require_network()
    built_binary()
    with running_laboratory(TWO_CLUSTERS, tmp_path_factory.mktemp("laboratory")) as running:
        yield running


async def serve(cluster: Cluster, app: str, pod: str, node: int) -> None:
    """Add a pod that serves for a Service, and the Service if it is not there."""
    applied = await cluster.kubectl("apply", "--filename=-", stdin=SERVICE.format(name=app))
    applied.text()
    await cluster.add_pod(pod, node=cluster.nodes[node].node, labels={"app": app}, serves=8080)


@pytest.mark.parametrize("name", ["west", "east"])
async def test_a_pod_reaches_a_service_by_its_name(laboratory: Laboratory, name: str) -> None:
    """A pod finds a Service by every form of its name, and its backend on another node answers."""
    cluster = laboratory.clusters[name]
    await serve(cluster, "web", "web-1", node=1)
    client = await cluster.add_pod("client", node=cluster.nodes[0].node)
    for host in ("web", "web.default", "web.default.svc.cluster.local"):
        asker = client.ask(f"http://{host}/")
        answer = await asker.next_ok()
        asker.stop()

        assert answer.said == "web-1"


@pytest.mark.parametrize("name", ["west", "east"])
async def test_large_answers_and_requests_pass(laboratory: Laboratory, name: str) -> None:
    """Ten megabytes go each way through a Service, to a backend on another node."""
    cluster = laboratory.clusters[name]
    await serve(cluster, "large", "large-1", node=1)
    client = await cluster.add_pod("large-client", node=cluster.nodes[0].node)
    asker = client.ask("http://large/")
    await asker.next_ok()
    asker.stop()
    moved = await client.transfer("http://large.default.svc.cluster.local/", 10_000_000)

    assert moved.text() == "fetched 10000000 bytes and sent 10000000\n"


async def test_backends_move_and_no_request_fails(laboratory: Laboratory) -> None:
    """While one backend is replaced by another, on another node, every request is answered."""
    cluster = laboratory.clusters["west"]
    await serve(cluster, "moving", "moving-1", node=0)
    client = await cluster.add_pod("moving-client", node="w1")
    asker = client.ask("http://moving/", every_s=0.01)
    began = await asker.next_ok()
    await serve(cluster, "moving", "moving-2", node=1)
    await asker.until(lambda seen: seen[-1].said == "moving-2")
    await cluster.remove_pod("moving-1")
    await asker.next_ok()
    asker.stop()

    assert failed(asker, began.at) == []
    assert {answer.said for answer in asker.answers() if answer.ok} == {"moving-1", "moving-2"}
    assert asker.answers()[-1].said == "moving-2"


async def test_a_pod_that_is_not_ready_is_not_asked(laboratory: Laboratory) -> None:
    """Once its only backend is not ready, a Service refuses; ready again, it answers again."""
    cluster = laboratory.clusters["west"]
    await serve(cluster, "shy", "shy-1", node=1)
    client = await cluster.add_pod("shy-client", node="w1")
    asker = client.ask("http://shy/")
    await asker.next_ok()
    await cluster.pod("shy-1").report(ready=False)
    refused = await asker.until(lambda seen: not seen[-1].ok)
    await cluster.pod("shy-1").report(ready=True)
    await asker.next_ok()
    asker.stop()

    assert "refused" in refused[-1].said


async def test_pods_of_two_clusters_do_not_reach_each_other(laboratory: Laboratory) -> None:
    """With no tunnel, a pod's and a Service's address of another cluster lead nowhere."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    await serve(east, "far", "far-1", node=0)
    client = await west.add_pod("far-client", node="w1")
    near = await east.add_pod("near-client", node="e2")
    address = (str(east.pod("far-1").address), 8080)

    assert near.reaches(address)
    assert not client.reaches(address)
    assert not client.reaches((str(east.plan.dns), 53))
    assert not west.node("w1").reaches(address)


async def test_each_nats_server_is_in_reach_of_all_clusters(laboratory: Laboratory) -> None:
    """Nodes of one cluster connect to the nats-server of another, as watchers and importers do."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]

    for cluster in (west, east):
        address = (str(cluster.plan.control_plane), 4222)
        assert cluster.nats.running
        assert all(node.reaches(address) for node in (*west.nodes, *east.nodes))


async def test_an_api_server_inside_is_killed_paused_and_comes_back(laboratory: Laboratory) -> None:
    """What can happen to a control plane on loopback can happen to one inside a network."""
    cluster = laboratory.clusters["west"]
    address = (str(cluster.plan.control_plane), 6443)
    await cluster.plane.stop_api_server(kill=True)
    down = cluster.node("w1").reaches(address)
    await cluster.plane.start_api_server()
    cluster.plane.pause_api_server()
    paused = await cluster.kubectl("get", "nodes", "--request-timeout=1s")
    cluster.plane.resume_api_server()
    back = await cluster.kubectl("get", "nodes", "--output=name")

    assert not down
    assert paused.exit_code != 0
    assert back.text().split() == ["node/w1", "node/w2"]


async def test_heliograph_runs_inside(laboratory: Laboratory) -> None:
    """A program of Heliograph on a node reaches the API server by the kubeconfig for the inside."""
    cluster = laboratory.clusters["east"]
    arguments = ("plan", "reflector", "--kubeconfig", cluster.kubeconfig)
    program = cluster.control_plane.heliograph(*arguments)
    await program.until(lambda: not program.running, within_s=60)

    assert program.log_tail


async def test_a_node_dies_and_the_others_go_on(laboratory: Laboratory) -> None:
    """When a node dies its pods are silent at once, and the rest of the cluster still works."""
    cluster = laboratory.clusters["east"]
    await serve(cluster, "left", "left-1", node=0)
    client = await cluster.add_pod("left-client", node="e1")
    lost = await cluster.add_pod("lost", node="e2", serves=8080)
    address = (str(lost.address), 8080)
    before = client.reaches(address)
    asker = client.ask("http://left/")
    began = await asker.next_ok()
    cluster.node("e2").kill()
    after = client.reaches(address)
    await asker.next_ok()
    asker.stop()

    assert (before, after) == (True, False)
    assert not lost.alive
    assert failed(asker, began.at) == []
