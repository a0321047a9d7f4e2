"""Watches: which events, in which order, from when to when. True of both servers."""

from __future__ import annotations

from tests.lab.api_client import Api, configmap, endpoint_slice, service

pytest_plugins = ["tests.lab.api_fixtures"]

INITIAL_END = {"k8s.io/initial-events-end": "true"}


async def test_a_watch_tells_what_happens_after_its_version(api: Api) -> None:
    """From a list's version on, creations, changes and deletions come in order."""
    await api.post(api.services, service("before"))
    version = (await api.get(api.services)).version
    made = await api.post(api.services, service("a"))
    async with api.watch(api.services, resourceVersion=version) as events:
        changed = await api.put(f"{api.services}/a", service("a", {"b": "c"}))
        await api.delete(f"{api.services}/a")
        added, modified, deleted = [await events.next() for _ in range(3)]

    assert added == ("ADDED", made.body)
    assert modified == ("MODIFIED", changed.body)
    assert deleted[0] == "DELETED"
    assert deleted[1]["spec"] == changed.body["spec"]
    assert int(deleted[1]["metadata"]["resourceVersion"]) > int(changed.version)


async def test_a_watch_without_a_version_begins_with_what_there_is(api: Api) -> None:
    """Without a version, or from "0", everything that exists is ADDED first."""
    await api.post(api.services, service("a"))
    await api.post(api.services, service("b"))
    for params in ({}, {"resourceVersion": "0"}):
        async with api.watch(api.services, **params) as events:
            assert sorted(await events.take(2)) == [("ADDED", "a"), ("ADDED", "b")]


async def test_writes_without_change_are_not_told(api: Api) -> None:
    """An update that changes nothing makes no event."""
    version = (await api.post(api.services, service("a"))).version
    async with api.watch(api.services, resourceVersion=version) as events:
        await api.put(f"{api.services}/a", service("a"))
        await api.patch(f"{api.services}/a", {"metadata": {"labels": None}})
        await api.post(api.services, service("b"))
        assert await events.take(1) == [("ADDED", "b")]


async def test_a_selection_is_watched_as_if_it_were_all_there_is(api: Api) -> None:
    """What begins to match is ADDED, what no longer does is DELETED in its last matching state."""
    version = (await api.post(api.services, service("a"))).version
    path, red, blue = f"{api.services}/a", {"color": "red"}, {"color": "blue"}
    watch = api.watch(api.services, resourceVersion=version, labelSelector="color=red")
    async with watch as events:
        await api.put(path, service("a", blue))
        await api.put(path, service("a", red))
        await api.put(path, service("a", red | {"size": "1"}))
        left = await api.put(path, service("a", blue))
        await api.delete(path)
        await api.post(api.services, service("b", red))
        told = [await events.next() for _ in range(4)]

    assert [kind for kind, _ in told] == ["ADDED", "MODIFIED", "DELETED", "ADDED"]
    assert told[2][1]["metadata"]["labels"] == red | {"size": "1"}
    assert told[2][1]["metadata"]["resourceVersion"] == left.version
    assert told[3][1]["metadata"]["name"] == "b"


async def test_one_object_can_be_watched(api: Api) -> None:
    """A field selector on the name watches one object."""
    version = (await api.get(api.services)).version
    selector = "metadata.name=b"
    async with api.watch(api.services, resourceVersion=version, fieldSelector=selector) as events:
        await api.post(api.services, service("a"))
        await api.post(api.services, service("b"))
        assert await events.take(1) == [("ADDED", "b")]


async def test_all_namespaces_can_be_watched_at_once(api: Api) -> None:
    """The path without a namespace tells of all of them."""
    version = (await api.get("/api/v1/services")).version
    async with api.watch("/api/v1/services", resourceVersion=version) as events:
        await api.post(api.services, service("a"))
        kind, obj = await events.next()
        while obj["metadata"]["namespace"] != api.namespace:  # others may be on their way out
            kind, obj = await events.next()

    assert (kind, obj["metadata"]["name"]) == ("ADDED", "a")


async def test_versions_count_the_writes_of_all_kinds(api: Api) -> None:
    """One counter serves all kinds, so a version of one kind is good for a watch of another."""
    first = await api.post(api.services, service("a"))
    second = await api.post(api.slices, endpoint_slice("a"))
    third = await api.post(api.configmaps, configmap("a"))
    async with api.watch(api.configmaps, resourceVersion=first.version) as events:
        kinds = {(await events.next())[1]["metadata"]["name"]}

    assert int(first.version) < int(second.version) < int(third.version)
    assert kinds <= {"a", "kube-root-ca.crt"}


async def test_a_bookmark_says_how_far_the_watch_has_come(api: Api) -> None:
    """Shortly before a watch times out a bookmark tells the version reached, then it ends."""
    version = (await api.get(api.services)).version
    other = await api.post(api.configmaps, configmap("a"))
    async with api.watch(
        api.services, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds="4"
    ) as events:
        told = await events.rest()

    assert {kind for kind, _ in told} == {"BOOKMARK"}
    bookmark = told[-1][1]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("Service", "v1")
    assert int(bookmark["metadata"]["resourceVersion"]) >= int(version)
    assert int(other.version) > int(version)


async def test_a_watch_without_bookmarks_just_ends(api: Api) -> None:
    """`timeoutSeconds` ends a watch; who asked for no bookmarks gets none."""
    version = (await api.get(api.services)).version
    async with api.watch(api.services, resourceVersion=version, timeoutSeconds="1") as events:
        assert await events.rest() == []


async def test_a_forgotten_version_is_an_error_event(api: Api) -> None:
    """A version older than the history gets HTTP 200 and one ERROR event with 410 Expired."""
    version = (await api.get(api.services)).version
    await api.post(api.services, service("a"))
    await api.post(api.services, service("b"))
    await api.forget_history()
    async with api.watch(api.services, resourceVersion=version) as events:
        told = await events.rest()

    assert [kind for kind, _ in told] == ["ERROR"]
    status = told[0][1]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: ")


async def test_a_future_version_waits(api: Api) -> None:
    """A version that is not reached yet is no error: the watch is silent."""
    params = {"resourceVersion": "99999999999", "timeoutSeconds": "1"}
    async with api.watch(api.services, **params) as events:
        await api.post(api.services, service("a"))
        assert await events.rest() == []


async def test_a_watch_can_stand_for_a_list(api: Api) -> None:
    """With `sendInitialEvents` what exists comes first, and a bookmark marks the end of it."""
    await api.post(api.services, service("a"))
    await api.post(api.services, service("b"))
    async with api.watch(
        api.services,
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    ) as events:
        told = [await events.next() for _ in range(3)]
        await api.post(api.services, service("c"))
        assert await events.take(1) == [("ADDED", "c")]

    assert [kind for kind, _ in told] == ["ADDED", "ADDED", "BOOKMARK"]
    assert told[2][1]["metadata"]["annotations"] == INITIAL_END


async def test_senseless_watches_are_refused(api: Api) -> None:
    """What cannot be meant is refused before the watch begins."""
    for params, status in (
        ({"resourceVersion": "abc"}, 500),
        ({"labelSelector": "a===b"}, 400),
        ({"fieldSelector": "spec.ports=1"}, 400),
        ({"resourceVersionMatch": "NotOlderThan", "resourceVersion": "0"}, 422),
        ({"sendInitialEvents": "true"}, 422),
    ):
        answer = await api.get(api.services, watch="true", **params)
        assert (answer.status, answer.body["kind"]) == (status, "Status"), params
