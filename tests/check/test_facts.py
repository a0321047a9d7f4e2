"""Looking at clusters and buses: what is there, what is not, and what cannot be looked at."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from aiohttp import web

from heliograph.bus import EmbeddedServer, ServerSettings
from heliograph.check import facts as gathering
from heliograph.check.facts import gather_bus_facts, gather_facts
from heliograph.check.known import ClusterFacts, Version
from heliograph.contract.names import ClusterId
from heliograph.kube.client import KubeClient
from heliograph.kube.rights import Right
from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import MemoryCluster
from tests.support.builders import KEY, annotated, kilo_node, mirror
from tests.support.clusters import client_of, namespace, node_json, service_json
from tests.support.scripted import answers, json_answer, scripted

SOME_RIGHTS = {"watcher": [Right(resource="nodes", verbs=("list",))]}
REVIEWS = "selfsubjectaccessreviews"
VERSION = '{"major":"1","minor":"27+","gitVersion":"v1.27.3-gke"}'


async def looked(client: KubeClient) -> ClusterFacts:
    return await gather_facts(client, SOME_RIGHTS)


async def test_what_is_there_is_found(cluster: MemoryCluster, client: KubeClient) -> None:
    """Version, clock, ranges, nodes, Peers, stray pods, Cilium, exports and namespaces."""
    cluster.apply(peer_crd())
    cluster.apply(node_json(kilo_node()))
    cluster.apply(
        {
            "apiVersion": "kilo.squat.ai/v1alpha1",
            "kind": "Peer",
            "metadata": {"name": "laptop"},
            "spec": {"allowedIPs": ["10.5.0.1/32"], "publicKey": KEY},
        }
    )
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "away", "namespace": "shop"},
            "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "b"}]},
            "status": {"podIP": "10.9.0.1"},
        }
    )
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cilium-config", "namespace": "kube-system"},
            "data": {"kube-proxy-replacement": "true"},
        }
    )
    cluster.apply(service_json(annotated({})))
    cluster.apply(service_json(mirror("other")))

    found = await looked(client)

    assert found.fault is None
    assert found.unread == {}
    assert found.version == Version(major=1, minor=36, text="v1.36.3")
    assert found.skew_s is not None
    assert abs(found.skew_s) < 2
    assert abs(found.at_s - time.time()) < 5
    assert found.uid == cluster.get("Namespace", "", "kube-system")["metadata"]["uid"]
    assert (found.serves_ranges, found.service_cidrs) == (True, ("10.96.0.0/16",))
    assert [node.metadata.name for node in found.nodes or ()] == ["n1"]
    assert [peer.metadata.name for peer in found.peers or ()] == ["laptop"]
    assert [(s.node, s.pod) for s in found.strays or ()] == [("n1", "shop/away")]
    assert found.cilium == {"kube-proxy-replacement": "true"}
    assert ("shop", "cart") in (found.exported or ())
    assert {"shop", "default"} <= (found.namespaces or set())
    assert found.missing == {}


async def test_what_is_not_there(client: KubeClient) -> None:
    """No Peers and no Cilium are facts, and no failures."""
    found = await looked(client)

    assert (found.serves_peers, found.peers, found.cilium) == (False, (), {})
    assert found.unread == {}


async def test_a_server_that_is_away(cluster: MemoryCluster, client: KubeClient) -> None:
    """Nothing else is asked."""
    await cluster.stop()

    found = await looked(client)

    assert found.fault is not None
    assert found.fault.reason == "Unreachable"
    assert found.fault.message.endswith("does not answer (Connection refused)")


FAULTS = {
    "credentials": (web.Response(text="{}", status=401), "Unauthorized"),
    "a web page": (web.Response(text="<html>It works!</html>"), "NotServing"),
    "another service": (web.Response(text="{}", status=404), "NotServing"),
    "overloaded": (web.Response(text="{}", status=503), "NotServing"),
}


@pytest.mark.parametrize(("answer", "reason"), FAULTS.values(), ids=FAULTS)
async def test_something_else_answers(answer: web.Response, reason: str, tmp_path: Path) -> None:
    """Whatever it is, it is told."""
    async with scripted(answers(answer)) as access, client_of(access, tmp_path) as client:
        found = await looked(client)

    assert found.fault is not None
    assert found.fault.reason == reason


async def test_each_fact_fails_by_itself(tmp_path: Path) -> None:
    """Nodes that may not be listed hide no namespaces; a missing right is told as such."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/version":
            return json_answer(VERSION, Date="Fri, 01 Jan 2010 00:00:00 GMT")
        if request.path.endswith(REVIEWS):
            return json_answer('{"status":{"allowed":false}}', 201)
        if request.path == "/api/v1/namespaces":
            item = '{"metadata":{"name":"shop"}}'
            return json_answer(f'{{"metadata":{{"resourceVersion":"1"}},"items":[{item}]}}')
        if request.path.endswith("/servicecidrs"):
            return json_answer('{"code":404,"reason":"NotFound"}', 404)
        if request.path.endswith("/peers"):
            return web.Response(text="<html>")
        return json_answer('{"code":403,"reason":"Forbidden"}', 403)

    async with scripted(handle) as access, client_of(access, tmp_path) as client:
        found = await looked(client)

    assert found.version == Version(major=1, minor=27, text="v1.27.3-gke")
    assert (found.serves_ranges, found.service_cidrs) == (False, ())
    assert found.namespaces == {"shop"}
    assert found.missing == {"watcher": ("list nodes",)}
    assert found.nodes is None
    assert found.unread["nodes"] == "403 Forbidden"
    assert "cannot be read" in found.unread["Kilo's Peers"]
    assert found.skew_s is not None
    assert found.skew_s < -1_000_000


VERSIONS = {
    "not told": web.Response(text='{"code":403}', status=403),
    "without numbers": web.Response(text='{"gitVersion":"v1"}'),
}


@pytest.mark.parametrize("answer", VERSIONS.values(), ids=VERSIONS)
async def test_a_version_that_is_not_known(answer: web.Response, tmp_path: Path) -> None:
    """The server answers, and that is enough."""
    async with scripted(answers(answer)) as access, client_of(access, tmp_path) as client:
        found = await looked(client)

    assert (found.fault, found.version) == (None, None)


async def test_a_bus_that_is_away() -> None:
    """Its fault is told, without credentials."""
    found = await gather_bus_facts("nats://me:secret@127.0.0.1:9", [ClusterId("east")])

    assert found.url == "nats://127.0.0.1:9"
    assert found.fault is not None
    assert found.fault.reason == "BusUnreachable"
    assert "secret" not in found.fault.message


@pytest.mark.nats
async def test_a_bus_that_answers(tmp_path: Path) -> None:
    """A nats-server with JetStream is all that is needed."""
    async with EmbeddedServer(ServerSettings(directory=tmp_path / "nats")) as server:
        found = await gather_bus_facts(server.url, [])

    assert found.fault is None


async def test_a_date_that_cannot_be_read(tmp_path: Path) -> None:
    """Nothing is said of a clock that does not show the time."""
    script = answers(json_answer(VERSION, Date="soon"))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        assert (await looked(client)).skew_s is None


async def test_a_server_that_hangs(
    cluster: MemoryCluster, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not come within its bound is told like any other fault."""
    monkeypatch.setattr(gathering, "_CONTACT_S", 0.05)
    cluster.pause()

    found = await looked(client)

    assert found.fault is not None
    assert found.fault.message.endswith("does not answer within 0.05 s")


async def test_a_look_that_hangs(client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone is not known then."""
    monkeypatch.setattr(gathering, "_LOOK_S", 0.0)

    found = await looked(client)

    assert (found.fault, found.unread["nodes"]) == (None, "no answer within 0 s")


async def test_namespaces_come_with_the_cluster(cluster: MemoryCluster, client: KubeClient) -> None:
    """What is made is seen at the next look."""
    cluster.apply(namespace("blog"))

    assert "blog" in ((await looked(client)).namespaces or ())
