"""The in-memory cluster: direct use, faults, restarts, further kinds."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest

from heliograph.lab.memory import (
    JsonObject,
    Kind,
    MemoryCluster,
    MemoryClusterSettings,
    Rules,
    StatusError,
    content_differs,
)
from heliograph.lab.memory.protobuf import MEDIA_TYPE as PROTOBUF
from heliograph.lab.memory.status import Cause, required
from tests.lab.api_client import (
    Api,
    configmap,
    open_session,
    service,
)

PEER = Kind(
    group="kilo.squat.ai",
    version="v1alpha1",
    name="Peer",
    plural="peers",
    namespaced=False,
    generation=content_differs,
    unconditional_update=False,
    custom=True,
)
PEERS = "/apis/kilo.squat.ai/v1alpha1/peers"
_PATIENCE_S = 10


async def _nothing() -> None:
    """Forget nothing: these tests do that by the cluster's own method."""


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Give a running cluster."""
    async with MemoryCluster(MemoryClusterSettings(name="west")) as running:
        yield running


@pytest.fixture
async def api(cluster: MemoryCluster) -> AsyncIterator[Api]:
    """Give a client of its namespace "default"."""
    async with open_session(cluster.access) as session:
        yield Api(session, "default", _nothing)


def _service(name: str, **spec: object) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Service"} | service(name, **spec)


async def test_objects_can_be_applied_read_and_deleted_without_http(
    cluster: MemoryCluster, api: Api
) -> None:
    """The direct way goes through the same code: defaults, versions, watches, refusals."""
    version = (await api.get(api.services)).version
    async with api.watch(api.services, resourceVersion=version) as events:
        made = cluster.apply(_service("a"))
        changed = cluster.apply(_service("a", sessionAffinity="ClientIP"))
        cluster.delete("Service", "default", "a")
        told = await events.take(3)

    assert made["spec"]["type"] == "ClusterIP"
    assert changed["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert cluster.get("services", "default", "a") is None
    with pytest.raises(StatusError, match=r"spec\.ports: Required value"):
        cluster.apply(_service("a", ports=[]))
    with pytest.raises(StatusError, match='services "a" not found'):
        cluster.delete("Service", "default", "a")


async def test_what_is_read_directly_is_a_copy(cluster: MemoryCluster) -> None:
    """Changing what `get`, `list` or `apply` returned changes nothing stored."""
    cluster.apply(_service("a"))["spec"].clear()
    for found in (cluster.get("Service", "default", "a"), *cluster.list("Service", "default")):
        assert found is not None
        found["spec"].clear()

    names = [s["metadata"]["name"] for s in cluster.list("Service")]
    assert names == ["a", "kubernetes"]
    assert all(s["spec"] for s in cluster.list("Service"))
    assert len(cluster.list("Namespace")) == 4


async def test_what_was_read_can_be_applied_anywhere(cluster: MemoryCluster) -> None:
    """Uid and version of the object given do not matter, neither here nor after its deletion."""
    first = cluster.apply(_service("a"))
    cluster.apply(_service("a", sessionAffinity="ClientIP"))
    second = cluster.apply(first)
    cluster.delete("Service", "default", "a")
    third = cluster.apply(first)

    assert second["spec"] == third["spec"] == first["spec"]
    assert second["metadata"]["uid"] == first["metadata"]["uid"] != third["metadata"]["uid"]


async def test_unknown_kinds_are_refused_directly_as_well(cluster: MemoryCluster) -> None:
    """A kind that nobody registered is an error that says what to do."""
    with pytest.raises(StatusError, match="register it first"):
        cluster.get("Peer", "", "a")
    with pytest.raises(StatusError, match="no matches for kind"):
        cluster.apply({"apiVersion": "v1", "kind": "Peer", "metadata": {"name": "a"}})


async def test_forgotten_history_leaves_open_watches_alone(
    cluster: MemoryCluster, api: Api
) -> None:
    """After a compaction an open watch goes on, a new one from before gets 410."""
    version = (await api.get(api.services)).version
    async with api.watch(api.services, resourceVersion=version) as open_watch:
        cluster.apply(_service("a"))
        cluster.apply(_service("b"))
        cluster.compact_history()
        cluster.apply(_service("c"))
        assert await open_watch.take(3) == [("ADDED", n) for n in "abc"]
    async with api.watch(api.services, resourceVersion=version) as late:
        kind, status = await late.next()

    assert (kind, status["code"]) == ("ERROR", 410)


async def test_history_is_bounded() -> None:
    """A watch from before the last `history_limit` changes of a kind gets 410."""
    settings = MemoryClusterSettings(name="west", history_limit=3)
    async with MemoryCluster(settings) as cluster, open_session(cluster.access) as session:
        api = Api(session, "default", _nothing)
        versions = [int(cluster.apply(_service(n))["metadata"]["resourceVersion"]) for n in "abcd"]
        for version, kinds in ((versions[0] - 1, ["ERROR"]), (versions[0], ["ADDED"] * 3)):
            params = {"resourceVersion": str(version), "timeoutSeconds": "1"}
            async with api.watch(api.services, **params) as events:
                assert [kind for kind, _ in await events.rest()] == kinds


async def test_watches_can_be_dropped(cluster: MemoryCluster, api: Api) -> None:
    """Dropped watches end cleanly, after what was lined up; a new one goes on from there."""
    version = (await api.get(api.services)).version
    async with api.watch(api.services, resourceVersion=version) as events:
        cluster.apply(_service("a"))
        cluster.drop_watches()
        told = await events.rest()
    cluster.apply(_service("b"))
    last = told[-1][1]["metadata"]["resourceVersion"]
    async with api.watch(api.services, resourceVersion=last) as again:
        assert await again.take(1) == [("ADDED", "b")]

    assert [kind for kind, _ in told] == ["ADDED"]


async def test_watches_can_be_made_silent() -> None:
    """A silent watch stays open and says nothing, not even bookmarks; new ones are well."""
    settings = MemoryClusterSettings(name="west", bookmark_interval_s=0.05)
    async with MemoryCluster(settings) as cluster, open_session(cluster.access) as session:
        api = Api(session, "default", _nothing)
        params = {"resourceVersion": str(cluster.resource_version), "allowWatchBookmarks": "true"}
        async with api.watch(api.services, **params) as silent:
            assert (await silent.next())[0] == "BOOKMARK"
            cluster.silence_watches()
            cluster.apply(_service("a"))
            async with api.watch(api.services, **params) as sound:
                told = [await sound.next() for _ in range(4)]
            cluster.drop_watches()
            left = await silent.rest()

    assert [kind for kind, _ in told] == ["ADDED", "BOOKMARK", "BOOKMARK", "BOOKMARK"]
    assert {kind for kind, _ in left} <= {"BOOKMARK"}  # one may have been on its way


async def test_bookmarks_come_at_their_interval() -> None:
    """An idle watch with bookmarks hears how far the whole store has come."""
    settings = MemoryClusterSettings(name="west", bookmark_interval_s=0.05)
    async with MemoryCluster(settings) as cluster, open_session(cluster.access) as session:
        api = Api(session, "default", _nothing)
        params = {"resourceVersion": str(cluster.resource_version), "allowWatchBookmarks": "true"}
        async with api.watch(api.services, **params) as events:
            made = cluster.apply({"apiVersion": "v1", "kind": "ConfigMap"} | configmap("a"))
            version = made["metadata"]["resourceVersion"]
            async with asyncio.timeout(_PATIENCE_S):
                told = await events.next()
                while told[1]["metadata"]["resourceVersion"] != version:
                    told = await events.next()

    assert told[0] == "BOOKMARK"


async def test_writes_can_be_made_to_fail(cluster: MemoryCluster, api: Api) -> None:
    """The next writes are refused with a status and Retry-After; reads and later writes are not."""
    cluster.fail_writes(2, status=429, retry_after_s=7)
    first = await api.post(api.services, service("a"))
    read = await api.get(api.services)
    second = await api.delete(f"{api.services}/kubernetes")
    third = await api.post(api.services, service("a"))

    assert [a.status for a in (first, read, second, third)] == [429, 200, 429, 201]
    assert first.headers["Retry-After"] == "7"
    assert first.body["details"] == {"retryAfterSeconds": 7}
    assert cluster.get("Service", "default", "kubernetes") is not None


async def test_requests_are_counted_by_verb_and_kind(cluster: MemoryCluster, api: Api) -> None:
    """Tests can say "zero writes" and mean it."""
    await api.get(api.services)
    assert cluster.writes == 0
    await api.post(api.services, service("a"))
    await api.post(api.services, service("a"))
    await api.patch(f"{api.services}/a", {})
    await api.get(f"{api.services}/a")
    async with api.watch(api.services, timeoutSeconds="1"):
        pass

    assert cluster.requests == {
        ("list", "services"): 1,
        ("create", "services"): 2,
        ("patch", "services"): 1,
        ("get", "services"): 1,
        ("watch", "services"): 1,
    }
    assert cluster.writes == 3
    cluster.requests.clear()
    assert cluster.writes == 0


async def test_a_paused_server_answers_when_it_is_resumed(cluster: MemoryCluster, api: Api) -> None:
    """Paused, it accepts requests and lets them wait."""
    cluster.pause()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(api.get("/readyz"))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        cluster.resume()
    assert waiting.result().status == 200


async def test_latency_can_be_added(cluster: MemoryCluster, api: Api) -> None:
    """Every request takes at least the latency that was set."""
    loop = asyncio.get_running_loop()
    cluster.set_latency(0.1)
    start = loop.time()
    await api.get("/readyz")

    assert loop.time() - start >= 0.1


async def test_a_restart_keeps_port_and_objects(cluster: MemoryCluster, api: Api) -> None:
    """Stopping cuts all connections; starting again is at the same place, with the same store."""
    made = await api.post(api.services, service("a"))
    before = cluster.access
    async with api.watch(api.services, resourceVersion=made.version) as events:
        await cluster.stop()
        assert await events.rest() == []
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.get(api.services)
    await cluster.start()
    found = await api.get(f"{api.services}/a")

    assert cluster.access == before
    assert found.body == made.body


async def test_a_stop_does_not_wait_for_paused_requests(cluster: MemoryCluster, api: Api) -> None:
    """Stopping a paused server takes no time, and what waited is cut off."""
    cluster.pause()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_refused(api))
        await asyncio.wait([waiting], timeout=0.1)
        async with asyncio.timeout(_PATIENCE_S):
            await cluster.stop()
    assert waiting.result()


async def _refused(api: Api) -> bool:
    try:
        await api.get("/readyz")
    except aiohttp.ClientConnectionError:
        return True
    return False


async def test_stopping_twice_is_stopping_once(cluster: MemoryCluster) -> None:
    """A stopped cluster can be stopped again, and by leaving its context."""
    await cluster.stop()
    await cluster.stop()


async def test_a_namespace_can_be_held_while_it_terminates(
    cluster: MemoryCluster, api: Api
) -> None:
    """A held namespace stays Terminating with all that is in it, until it is released."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    cluster.apply(space)
    cluster.apply(_service("a") | {"metadata": {"name": "a", "namespace": "shop"}})
    cluster.hold_namespace("shop")
    await api.delete("/api/v1/namespaces/shop")
    refused = await api.post("/api/v1/namespaces/shop/services", service("b"))
    kept = cluster.get("Service", "shop", "a")
    cluster.release_namespace("shop")

    assert (refused.status, refused.causes) == (
        403,
        {"NamespaceTerminating metadata.namespace"},
    )
    assert kept is not None
    assert cluster.get("Namespace", "", "shop") is None
    assert cluster.get("Service", "shop", "a") is None


def _admit_peer(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    del old
    return [] if new.get("spec", {}).get("publicKey") else [required("spec.publicKey")]


async def test_further_kinds_can_be_registered(cluster: MemoryCluster, api: Api) -> None:
    """A kind with rules of its own is served like any other, without a definition."""
    cluster.register(PEER, Rules(admit=_admit_peer))
    typed = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer"}
    made = await api.post(PEERS, typed | {"metadata": {"name": "a"}, "spec": {"publicKey": "k"}})
    invalid = await api.post(PEERS, typed | {"metadata": {"name": "b"}})

    assert made.status == 201
    assert invalid.causes == {"Required spec.publicKey"}
    assert cluster.get("Peer", "", "a") == made.body


async def test_server_side_apply_is_refused_with_a_reason(api: Api) -> None:
    """An apply patch gets 415, and the message says what to use instead."""
    answer = await api.patch(f"{api.services}/a", {}, "application/apply-patch+yaml")

    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")
    assert "server-side apply is not served" in answer.body["message"]


async def test_bodies_may_be_yaml(api: Api) -> None:
    """Objects may come as YAML; what is no object is refused."""
    media_type = "application/yaml"
    made = await api.call("POST", api.configmaps, b"metadata: {name: a}", media_type)

    assert made.status == 201
    assert (await api.call("POST", api.configmaps, b"- a", media_type)).status == 400
    assert (await api.call("POST", api.configmaps, b"{", media_type)).status == 400


async def test_bodies_may_be_protobuf(api: Api) -> None:
    """Namespaces and the like may come as kubectl sends them."""
    named = b"\x0a\x06\x0a\x04shop"  # metadata, with a name
    typed = b"\x0a\x02v1\x12\x09Namespace"
    body = b"k8s\x00\x0a" + bytes([len(typed)]) + typed + b"\x12" + bytes([len(named)]) + named
    made = await api.call("POST", "/api/v1/namespaces", body, PROTOBUF)

    assert (made.status, made.body["metadata"]["name"]) == (201, "shop")


async def test_large_bodies_are_refused(api: Api) -> None:
    """More than three megabytes get 413."""
    body = io.BytesIO(b"x" * ((3 << 20) + 1))
    answer = await api.call("POST", api.configmaps, body)

    assert (answer.status, answer.reason) == (413, "RequestEntityTooLarge")


async def test_many_clusters_live_in_one_process() -> None:
    """Two hundred clusters start, answer and stop within seconds."""
    clusters = [MemoryCluster(MemoryClusterSettings(name=f"c{n}")) for n in range(200)]
    async with asyncio.timeout(60):
        for cluster in clusters:
            await cluster.start()
        ports = {cluster.access.server for cluster in clusters}
        async with open_session(clusters[-1].access) as session:
            ready = await Api(session, "default", _nothing).get("/readyz")
        for cluster in clusters:
            await cluster.stop()

    assert (len(ports), ready.status) == (200, 200)


async def test_tokens_are_not_shown(cluster: MemoryCluster) -> None:
    """Neither settings nor access print the token."""
    settings = MemoryClusterSettings(name="west", token="confidential")  # noqa: S106 - shown nowhere

    assert "confidential" not in repr(settings)
    assert "token" not in repr(cluster.access)
