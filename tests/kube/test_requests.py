"""Lists, guarded writes and their refusals, against an API server and against worse."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import (
    AlreadyExists,
    ApiUnreachable,
    Busy,
    Conflict,
    Invalid,
    NotFound,
    Unauthorized,
    Unreadable,
)
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import (
    NAMESPACES,
    NODES,
    SERVICES,
    ObjectMeta,
    Port,
    Service,
    ServiceSpec,
)
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.memory import MemoryCluster
from tests.support.builders import node, service
from tests.support.clusters import client_of, memory_cluster, namespace, node_json, service_json
from tests.support.scripted import answers, json_answer, scripted

EXPIRED = '{"kind":"Status","code":410,"reason":"Expired","message":"too old"}'
LISTS_IN_PAGES = {
    # case               nodes   requests
    "none":             (0,      1),
    "a full page":      (500,    1),
    "one more":         (501,    2),
    "several":          (1203,   3),
}  # fmt: skip
UNREADABLE = {
    "a page for people": "<html>Sign in</html>",
    "nothing": "",
    "another type": '{"metadata":{"name":5}}',
    "an array": "[]",
    "no UTF-8": '{"metadata":{"name":"\udcff"}}',
}

NO_ADDRESS = ServiceSpec(ports=(Port(port=80),))
NO_LISTS = {
    "a page for people": "<html>Sign in</html>",
    "an object": '{"metadata":{"name":"n1"},"items":[]}',
    "strange items": '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":5}]}',
}


def new_service(name: str = "cart") -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace="shop"), spec=service().spec)


@pytest.mark.parametrize(("nodes", "requests"), LISTS_IN_PAGES.values(), ids=LISTS_IN_PAGES)
async def test_lists_come_in_pages(
    nodes: int, requests: int, cluster: MemoryCluster, client: KubeClient
) -> None:
    """All objects of one moment are returned, however many pages they take."""
    for number in range(nodes):
        cluster.apply(node_json(node(f"n{number}")))
    listing = await client.list(NODES)

    assert {item.metadata.name for item in listing.items} == {f"n{n}" for n in range(nodes)}
    assert listing.metadata.resource_version == str(cluster.resource_version)
    assert cluster.requests["list", "nodes"] == requests


async def test_a_list_that_expires_on_the_way_begins_anew(tmp_path: Path) -> None:
    """What was read before the 410 is forgotten: it belongs to another moment."""
    page = '{"metadata":{"resourceVersion":"%s"%s},"items":[{"metadata":{"name":"%s"}}]}'
    script = answers(
        json_answer(page % ("1", ',"continue":"x"', "gone")),
        json_answer(EXPIRED, 410),
        json_answer(page % ("2", ',"continue":"y"', "n1")),
        json_answer(page % ("2", "", "n2")),
    )
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        listing = await client.list(NODES)
    assert [item.metadata.name for item in listing.items] == ["n1", "n2"]
    assert listing.metadata.resource_version == "2"


async def test_lists_are_narrowed(cluster: MemoryCluster, client: KubeClient) -> None:
    """A namespace and a label selector are left to the server."""
    cluster.apply(namespace("other"))
    for where in ("shop", "other"):
        plain = service("plain", where, meta={"labels": {}}, ports=(Port(port=1),))
        cluster.apply(service_json(plain))
        cluster.apply(service_json(service("cart", where)))
    listing = await client.list(
        SERVICES, Selection(namespace="shop", labels="heliograph.io/export=true")
    )
    assert [(s.metadata.namespace, s.metadata.name) for s in listing.items] == [("shop", "cart")]


async def test_an_object_is_written_read_and_deleted(client: KubeClient) -> None:
    """The server's answers are objects again; it keeps us as their author."""
    created = await client.create(SERVICES, new_service())
    assert created.spec.cluster_ip == "10.96.0.7"
    assert [field.manager for field in created.metadata.managed_fields] == ["heliograph"]
    assert await client.get(SERVICES, "shop", "cart") == created

    patch = {"metadata": {"annotations": {"a": "b"}}}
    patched = await client.merge_patch(SERVICES, "shop", "cart", patch)
    assert patched.metadata.annotations == {"a": "b"}

    replaced = await client.replace(SERVICES, patched)
    assert replaced.spec == patched.spec

    await client.delete(SERVICES, replaced.metadata)
    with pytest.raises(NotFound):
        await client.get(SERVICES, "shop", "cart")


async def test_writes_that_are_refused(client: KubeClient) -> None:
    """Each refusal has its class."""
    created = await client.create(SERVICES, new_service())
    with pytest.raises(AlreadyExists):
        await client.create(SERVICES, Service(metadata=new_service().metadata, spec=NO_ADDRESS))
    with pytest.raises(Invalid):
        await client.create(SERVICES, new_service("Capital"))
    elsewhere = ObjectMeta(name="cart", namespace="nowhere")
    with pytest.raises(NotFound):
        await client.create(SERVICES, Service(metadata=elsewhere, spec=NO_ADDRESS))
    await client.merge_patch(SERVICES, "shop", "cart", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        await client.replace(SERVICES, created)
    with pytest.raises(Conflict):
        await client.delete(SERVICES, created.metadata)


async def test_a_busy_server_says_when_to_come_back(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """Retry-After travels with the error; one without it says 0."""
    cluster.fail_writes(1, status=429, retry_after_s=7)
    with pytest.raises(Busy) as raised:
        await client.create(SERVICES, new_service())
    assert raised.value.retry_after_s == 7

    cluster.fail_writes(1, status=500)
    with pytest.raises(Busy) as raised:
        await client.create(SERVICES, new_service())
    assert raised.value.retry_after_s == 0


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "²", "-1"])
async def test_a_retry_after_that_is_no_number(after: str, tmp_path: Path) -> None:
    """A date, or nonsense, is as good as none."""
    headers = {"Retry-After": after}
    script = answers(web.Response(text="{}", status=503, headers=headers))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        with pytest.raises(Busy) as raised:
            await client.get(NODES, "", "n1")
    assert raised.value.retry_after_s == 0


async def test_an_error_without_a_status_keeps_its_text(tmp_path: Path) -> None:
    """What stands between us and the server answers in its own form."""
    script = answers(web.Response(text="upstream connect error\n" * 50, status=502))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        with pytest.raises(Busy) as raised:
            await client.get(NODES, "", "n1")
    assert raised.value.status.code == 502
    assert raised.value.status.message.startswith("upstream connect error")
    assert len(raised.value.status.message) <= 200


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_that_cannot_be_read(body: str, tmp_path: Path) -> None:
    """Success with a strange body may pass: some proxy asks for a password, say."""
    raw = body.encode(errors="surrogateescape")
    script = answers(web.Response(body=raw))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        with pytest.raises(Unreadable, match="is there a proxy before the API server"):
            await client.get(NODES, "", "n1")


@pytest.mark.parametrize("body", NO_LISTS.values(), ids=NO_LISTS)
async def test_an_answer_that_is_no_list(body: str, tmp_path: Path) -> None:
    """What has no version is not taken for an empty list: everything would be withdrawn."""
    script = answers(web.Response(text=body))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        with pytest.raises(Unreadable):
            await client.list(NODES)


async def test_a_server_that_is_away(cluster: MemoryCluster, client: KubeClient) -> None:
    """No answer names cluster and address."""
    await cluster.stop()
    with pytest.raises(ApiUnreachable) as raised:
        await client.get(NAMESPACES, "", "shop")
    assert raised.value.cluster == "east"
    assert raised.value.server == client.server
    with pytest.raises(ApiUnreachable):
        async with client.stream("/api/v1/nodes", {"watch": "true"}, inactivity_s=1):
            pass


async def test_a_port_where_nobody_listens(cluster: MemoryCluster, client: KubeClient) -> None:
    """The system's reason is shown, without the library's words around it."""
    await client.get(NAMESPACES, "", "shop")
    await cluster.stop()
    with pytest.raises(ApiUnreachable):  # perhaps by the connection that was open
        await client.get(NAMESPACES, "", "shop")
    with pytest.raises(ApiUnreachable, match=r"does not answer \(Connection refused\)"):
        await client.get(NAMESPACES, "", "shop")


async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_server_that_hangs_up(tmp_path: Path) -> None:
    """A connection that ends without an answer is no answer."""
    async with scripted(hang_up) as access, client_of(access, tmp_path) as client:
        with pytest.raises(ApiUnreachable, match=r"does not answer \([A-Z]"):
            await client.get(NODES, "", "n1")


async def test_raw_requests(client: KubeClient) -> None:
    """Discovery and reviews need no objects."""
    assert b"gitVersion" in await client.get_raw("/version")
    with pytest.raises(NotFound):
        await client.get_raw("/api/v1/nonsense", {"a": "b"})


async def test_a_renewed_token_is_taken_up(tmp_path: Path) -> None:
    """A 401 makes the client read its credentials again, once, for requests and watches."""
    async with memory_cluster(token="renewed") as cluster:  # noqa: S106 - no secret
        stale = ClusterAccess(name="east", server=cluster.access.server, token="stale")  # noqa: S106
        async with client_of(stale, tmp_path) as client:
            with pytest.raises(Unauthorized):
                await client.get(NAMESPACES, "", "shop")
            write_kubeconfig(tmp_path / "east.kubeconfig", [cluster.access])
            assert (await client.get(NAMESPACES, "", "shop")).metadata.name == "shop"


async def test_a_watch_takes_a_renewed_token_up(tmp_path: Path) -> None:
    """The watch that was refused fails; the next one is opened with the new token."""
    parameters = {"watch": "true"}
    async with memory_cluster(token="renewed") as cluster:  # noqa: S106 - no secret
        stale = ClusterAccess(name="east", server=cluster.access.server, token="stale")  # noqa: S106
        async with client_of(stale, tmp_path) as client:
            write_kubeconfig(tmp_path / "east.kubeconfig", [cluster.access])
            with pytest.raises(Unauthorized):
                async with client.stream("/api/v1/nodes", parameters, inactivity_s=5):
                    pass
            async with client.stream("/api/v1/namespaces", parameters, inactivity_s=5) as content:
                assert b"ADDED" in await content.readline()


async def test_credentials_that_are_being_written(tmp_path: Path) -> None:
    """A file that is no kubeconfig for a moment leaves the 401 as the answer."""
    script = answers(web.Response(text="{}", status=401))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        (tmp_path / "east.kubeconfig").write_text("clust", encoding="utf-8")
        with pytest.raises(Unauthorized):
            await client.get(NODES, "", "n1")


async def test_a_client_is_named_by_its_context(cluster: MemoryCluster, tmp_path: Path) -> None:
    """Who gives no id gets the context's name in messages."""
    path = tmp_path / "config"
    write_kubeconfig(path, [cluster.access])
    async with KubeClient("", Kubeconfig(path=path)) as client:
        assert client.cluster == "east"
