"""A watch tells everything that happens, whatever happens to the watch."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import StreamReader, web
from aiohttp.streams import AsyncStreamIterator
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from heliograph.bus.background import alongside
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import NotFound, Unauthorized
from heliograph.kube.objects import NAMESPACES, NODES, SERVICES, KubeObject, Node, Resource, T
from heliograph.kube.watch import Deleted, Listed, ListWatch, Upserted, WatchEvent, lines
from heliograph.lab.access import ClusterAccess
from heliograph.lab.memory import Kind, MemoryCluster
from tests.bus.support import eventually
from tests.support.builders import node, service
from tests.support.clusters import client_of, memory_cluster, node_json, service_json
from tests.support.scripted import Handler, answers, json_answer, scripted

NO_KIND: Resource[KubeObject] = Resource(
    api="/apis/example.com/v1", plural="things", kind="Thing", struct=KubeObject
)
THING = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
LISTED = '{"metadata":{"resourceVersion":"5"},"items":[]}'
ADDED = '{"type":"ADDED","object":{"metadata":{"name":"n1","resourceVersion":"6"}}}'


class Following:
    """What somebody knows who follows a watch."""

    def __init__(self, watch: ListWatch[Any]) -> None:
        self.watch = watch
        self.events: list[WatchEvent[Any]] = []
        self.names: set[str] = set()

    @property
    def listings(self) -> int:
        """How many complete listings came."""
        return sum(isinstance(event, Listed) for event in self.events)

    async def run(self) -> None:
        """Follow for ever."""
        async for event in self.watch.events():
            self.events.append(event)
            match event:
                case Listed():
                    self.names = {item.metadata.name for item in event.items}
                case Upserted():
                    self.names.add(event.object.metadata.name)
                case Deleted():
                    self.names.discard(event.object.metadata.name)


@contextlib.asynccontextmanager
async def following(
    client: KubeClient,
    resource: Resource[T],
    **settings: Any,  # noqa: ANN401 - of ListWatch
) -> AsyncIterator[Following]:
    """Follow a kind in the background, from when its watch is open."""
    follower = Following(ListWatch(client, resource, **settings))
    async with alongside(follower.run()):
        await eventually(lambda: follower.watch.alive)
        yield follower


@contextlib.asynccontextmanager
async def following_script(
    handler: Handler, folder: Path, resource: Resource[Any] = NODES
) -> AsyncIterator[Following]:
    """Follow the objects of a server whose watches end with their answer."""
    async with scripted(handler) as access, client_of(access, folder) as client:
        follower = Following(ListWatch(client, resource))
        async with alongside(follower.run()):
            yield follower


async def test_a_listing_comes_first_then_changes(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """New, changed and deleted objects are told in order."""
    cluster.apply(node_json(node("n1")))
    async with following(client, NODES) as follower:
        cluster.apply(node_json(node("n2")))
        cluster.apply(node_json(node("n2", labels={"a": "b"})))
        cluster.delete("Node", "", "n1")
        await eventually(lambda: len(follower.events) == 4)

    listed, added, changed, deleted = follower.events
    assert isinstance(listed, Listed)
    assert [item.metadata.name for item in listed.items] == ["n1"]
    assert isinstance(added, Upserted)
    assert isinstance(changed, Upserted)
    assert changed.object.metadata.labels == {"a": "b"}
    assert isinstance(deleted, Deleted)
    assert deleted.object.metadata.name == "n1"
    assert listed.seen_at_ns <= added.seen_at_ns <= deleted.seen_at_ns


async def test_a_selector_makes_changes_of_labels_come_and_go(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """An object that loses the label is deleted for this watch, and nothing else is told."""
    selector = "heliograph.io/export=true"
    unlabelled = service_json(service(meta={"labels": {}}))
    async with following(client, SERVICES, selection=Selection(labels=selector)) as follower:
        cluster.apply(unlabelled)
        cluster.apply(service_json(service()))
        await eventually(lambda: follower.names == {"cart"})
        cluster.apply(unlabelled)
        await eventually(lambda: not follower.names)
        assert len(follower.events) == 3


async def test_a_dropped_watch_goes_on_where_it_stopped(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """What happens between two watches is told by the second, without a listing."""
    async with following(client, NODES) as follower:
        cluster.drop_watches()
        cluster.apply(node_json(node("n1")))
        await eventually(lambda: follower.names == {"n1"})
        cluster.drop_watches()
        cluster.delete("Node", "", "n1")
        await eventually(lambda: not follower.names)
        assert follower.listings == 1


async def test_an_expired_watch_lists_again(cluster: MemoryCluster, client: KubeClient) -> None:
    """After 410 a listing says what is there now."""
    cluster.apply(node_json(node("n1")))
    async with following(client, NODES) as follower:
        await cluster.stop()
        cluster.delete("Node", "", "n1")
        cluster.apply(node_json(node("n2")))
        cluster.compact_history()
        await cluster.start()
        await eventually(lambda: follower.names == {"n2"})
        assert follower.listings == 2


EXPIRED = (
    '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    '"message":"too old resource version: 5 (9)","reason":"Expired","code":410}}'
)


@pytest.mark.parametrize("resource", [NODES, NAMESPACES], ids=["nodes", "namespaces"])
async def test_a_watch_that_ends_with_a_status(resource: Resource[Any], tmp_path: Path) -> None:
    """What the server says last is read as what it is, also where objects have a status."""
    script = answers(json_answer(LISTED), json_answer(EXPIRED + "\n"), json_answer(LISTED))
    async with following_script(script, tmp_path, resource) as follower:
        await eventually(lambda: follower.listings == 2)


async def test_bookmarks_spare_a_listing(cluster: MemoryCluster, client: KubeClient) -> None:
    """A quiet kind keeps up with the cluster's history, though none of it concerns it."""
    async with following(client, NODES) as follower:
        cluster.apply(service_json(service()))
        moment = cluster.resource_version
        await eventually(lambda: follower.watch._version == str(moment))  # noqa: SLF001
        cluster.compact_history()
        cluster.drop_watches()
        cluster.apply(node_json(node("n1")))
        await eventually(lambda: follower.names == {"n1"})
        assert follower.listings == 1


async def test_a_silent_watch_is_given_up(tmp_path: Path) -> None:
    """A connection that says nothing for too long is dead, whatever TCP thinks."""
    async with (
        memory_cluster() as cluster,
        client_of(cluster.access, tmp_path) as client,
        following(client, NODES, inactivity_s=0.3) as follower,
    ):
        cluster.silence_watches()
        cluster.apply(node_json(node("n1")))
        await eventually(lambda: follower.names == {"n1"})
        assert cluster.requests["watch", "nodes"] >= 2
        assert follower.listings == 1


async def test_an_outage_of_the_server(cluster: MemoryCluster, client: KubeClient) -> None:
    """While the server is away the watch says so; then it goes on."""
    async with following(client, NODES) as follower:
        await cluster.stop()
        await eventually(lambda: not follower.watch.alive)
        await cluster.start()
        cluster.apply(node_json(node("n1")))
        await eventually(lambda: follower.names == {"n1"})
        assert follower.watch.alive
        assert follower.listings == 1


async def test_a_server_that_comes_up_late(tmp_path: Path) -> None:
    """The first listing is waited for."""
    busy = json_answer("{}", 503)
    script = answers(busy, busy, json_answer(LISTED), json_answer(ADDED + "\n"))
    async with following_script(script, tmp_path) as follower:
        await eventually(lambda: follower.names == {"n1"})


async def test_a_busy_server_is_left_alone_for_as_long_as_it_says(tmp_path: Path) -> None:
    """Retry-After holds for listings and for watches."""
    busy, loop = json_answer("{}", 429, **{"Retry-After": "1"}), asyncio.get_running_loop()
    script = answers(busy, json_answer(LISTED), busy, json_answer(ADDED + "\n"))
    began_s = loop.time()
    async with following_script(script, tmp_path) as follower:
        await eventually(lambda: follower.names == {"n1"})
    assert loop.time() - began_s >= 2


async def test_a_first_listing_that_is_refused_ends_the_watch(tmp_path: Path) -> None:
    """Credentials that never worked are told to the person, and not tried for ever."""
    async with memory_cluster(token="right") as cluster:  # noqa: S106 - no secret
        wrong = ClusterAccess(name="east", server=cluster.access.server, token="wrong")  # noqa: S106
        async with client_of(wrong, tmp_path) as client:
            with pytest.raises(Unauthorized):
                await anext(ListWatch(client, NODES).events())


async def test_a_later_refusal_is_waited_out(tmp_path: Path) -> None:
    """A cluster that once let us in may change its mind again."""
    script = answers(
        json_answer(LISTED),
        json_answer("{}", 410),
        json_answer("{}", 403),
        json_answer(LISTED),
        json_answer(ADDED + "\n"),
    )
    async with following_script(script, tmp_path) as follower:
        await eventually(lambda: follower.names == {"n1"})
        assert follower.listings == 2


GARBAGE = {
    "no JSON": "<html>",
    "another type": '{"type":"ADDED","object":{"metadata":{"name":5}}}',
    "a fault of the server": '{"type":"ERROR","object":{"code":500,"message":"etcd"}}',
    "an unreadable fault": '{"type":"ERROR","object":[]}',
}


@pytest.mark.parametrize("line", GARBAGE.values(), ids=GARBAGE)
async def test_a_line_that_cannot_be_used(line: str, tmp_path: Path) -> None:
    """The watch is opened again from the last version that was understood."""
    asked: list[str] = []
    replies = answers(
        json_answer(LISTED), json_answer(f"{line}\n{ADDED}\n"), json_answer(ADDED + "\n")
    )

    async def noted(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.query.get("resourceVersion", "list"))
        return await replies(request)

    async with following_script(noted, tmp_path) as follower:
        await eventually(lambda: follower.names == {"n1"})
    assert asked[:3] == ["list", "5", "5"]


async def test_a_kind_that_the_cluster_lacks(client: KubeClient) -> None:
    """Where it may be absent there are no objects of it; elsewhere that is an error."""
    watch = ListWatch(client, NO_KIND, look_again_s=60)
    first = await anext(watch.events())
    assert isinstance(first, Listed)
    assert list(first.items) == []
    assert watch.absent
    assert not watch.alive

    with pytest.raises(NotFound):
        await anext(ListWatch(client, NO_KIND).events())


async def test_a_kind_that_comes_later(cluster: MemoryCluster, client: KubeClient) -> None:
    """It is looked for again and again, without a word until it is there; then it is listed."""
    follower = Following(ListWatch(client, NO_KIND, look_again_s=0.01))
    async with alongside(follower.run()):
        await eventually(lambda: follower.watch.absent)
        looks = cluster.requests["list", "things"]
        cluster.register(Kind(group="example.com", name="Thing", plural="things"))
        cluster.apply(THING)
        await eventually(lambda: follower.watch.alive)

    assert follower.names == {"a"}
    assert not follower.watch.absent
    assert (looks, follower.listings) == (0, 2)


async def test_a_kind_that_vanishes(tmp_path: Path) -> None:
    """When its watch is not served any more, its objects are gone, and it is looked for again."""
    nowhere = json_answer("404 page not found", 404)
    listed = json_answer('{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a"}}]}')
    script = answers(listed, nowhere, nowhere, nowhere, listed, listed, json_answer(""))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        follower = Following(ListWatch(client, NO_KIND, look_again_s=0.01))
        async with alongside(follower.run()):
            await eventually(lambda: follower.listings == 3)

    listings = [event for event in follower.events if isinstance(event, Listed)]
    assert [len(listing.items) for listing in listings] == [1, 0, 1]


async def test_a_server_that_fails_while_a_kind_is_looked_for(tmp_path: Path) -> None:
    """Whatever it answers but 404 is no end: the next listing waits it out."""
    nowhere, broken = json_answer("", 404), json_answer("{}", 500)
    script = answers(nowhere, broken, broken, json_answer(LISTED), json_answer(ADDED + "\n"))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        follower = Following(ListWatch(client, NO_KIND, look_again_s=0.01))
        async with alongside(follower.run()):
            await eventually(lambda: follower.names == {"n1"})


async def test_a_watch_can_be_cancelled(client: KubeClient) -> None:
    """Stopping takes no longer than closing a connection."""
    async with asyncio.timeout(2):
        async with following(client, NODES):
            pass


class Content(StreamReader):
    """The body of an answer, in chunks of one's choice."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    @override
    def iter_any(self) -> AsyncStreamIterator[bytes]:
        """Yield the chunks."""
        left = iter([*self._chunks, b""])

        async def read() -> bytes:
            return next(left)

        return AsyncStreamIterator(read)


@given(st.lists(st.binary(min_size=1, max_size=5)), st.integers(1, 7))
async def test_lines_are_found_wherever_chunks_end(parts: list[bytes], size: int) -> None:
    """Lines come out as they went in, empty ones and an unfinished last one left out."""
    sent = [part.replace(b"\n", b"x") for part in parts]
    whole = b"\n\n".join([*sent, b"unfinished"])
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]

    assert [line async for line in lines(Content(chunks))] == sent


def test_a_node_is_small() -> None:
    """What is not read is not kept: the status of a node changes all the time."""
    assert set(Node.__struct_fields__) == {"metadata", "spec"}


async def test_a_listing_is_not_kept(cluster: MemoryCluster, client: KubeClient) -> None:
    """Ten thousand objects that were folded do not stay in memory until the next listing."""
    cluster.apply(node_json(node("n1")))
    events = ListWatch(client, NODES).events()
    listed = await anext(events)
    assert isinstance(listed, Listed)
    items = weakref.ref(listed.items)

    del listed

    assert items() is None
    await events.aclose()
