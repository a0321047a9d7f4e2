"""Deletions: answers, preconditions, finalizers. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import (
    Api,
    configmap,
    endpoint_slice,
    service,
)

pytest_plugins = ["tests.lab.api_fixtures"]


async def test_a_deletion_is_answered_by_kind(api: Api) -> None:
    """A deleted slice leaves a Status with its uid, a deleted Service the object itself."""
    made = await api.post(api.slices, endpoint_slice("a"))
    await api.post(api.services, service("a"))
    gone, returned = await api.delete(f"{api.slices}/a"), await api.delete(f"{api.services}/a")

    assert (gone.status, gone.body["kind"], gone.body["status"]) == (200, "Status", "Success")
    assert gone.body["details"] == {
        "name": "a",
        "group": "discovery.k8s.io",
        "kind": "endpointslices",
        "uid": made.body["metadata"]["uid"],
    }
    assert (returned.status, returned.body["kind"]) == (200, "Service")
    assert (await api.get(f"{api.slices}/a")).status == 404
    assert (await api.delete(f"{api.slices}/a")).status == 404


@pytest.mark.parametrize("precondition", ["uid", "resourceVersion"])
async def test_deletions_keep_their_preconditions(api: Api, precondition: str) -> None:
    """A wrong uid or version gets 409 Conflict; the right one deletes."""
    made = await api.post(api.services, service("a"))
    right = {"preconditions": {precondition: made.body["metadata"][precondition]}}

    refused = await api.delete(f"{api.services}/a", {"preconditions": {precondition: "1"}})
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert refused.body["details"] == {"name": "a", "kind": "Service"}
    assert (await api.get(f"{api.services}/a")).status == 200
    assert (await api.delete(f"{api.services}/a", right)).status == 200


async def test_finalizers_delay_a_deletion(api: Api) -> None:
    """A deleted object with finalizers is marked, and goes when the last one is removed."""
    obj = configmap("a")
    obj["metadata"]["finalizers"] = ["x.example/wait"]
    await api.post(api.configmaps, obj)
    path = f"{api.configmaps}/a"

    marked = await api.delete(path)
    again = await api.delete(path)
    more = {"metadata": {"finalizers": ["x.example/wait", "x.example/more"]}}
    added = await api.patch(path, more)
    released = await api.patch(path, {"metadata": {"finalizers": None}})

    assert (marked.status, marked.body["kind"]) == (200, "ConfigMap")
    assert marked.body["metadata"]["deletionTimestamp"]
    assert marked.body["metadata"]["deletionGracePeriodSeconds"] == 0
    assert again.version == marked.version
    assert (added.status, released.status) == (422, 200)
    assert "Forbidden metadata.finalizers" in added.causes
    assert (await api.get(path)).status == 404


async def test_a_collection_can_be_deleted_by_selector(api: Api) -> None:
    """DELETE of a collection takes what the selector matches, and leaves the rest."""
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        await api.post(api.configmaps, configmap(name, labels={"color": color}))
    answer = await api.delete(api.configmaps, labelSelector="color=red")
    left = await api.get(api.configmaps, labelSelector="color")

    assert (answer.status, sorted(answer.names)) == (200, ["a", "b"])
    assert left.names == ["c"]


async def test_a_marked_object_is_released_in_a_dry_run_only_as_if(api: Api) -> None:
    """A dry run may remove the last finalizer, and the object is still there."""
    obj = endpoint_slice("a", metadata={"name": "a", "finalizers": ["x.example/wait"]})
    made = await api.post(api.slices, obj)
    marked = await api.delete(f"{api.slices}/a")
    freed = endpoint_slice("a")
    answer = await api.put(f"{api.slices}/a", freed, dryRun="All")
    kept = await api.get(f"{api.slices}/a")
    await api.put(f"{api.slices}/a", freed)

    generations = [a.body["metadata"]["generation"] for a in (made, marked, kept)]
    assert generations == [1, 2, 2]
    assert answer.status == 200
    assert kept.body["metadata"]["finalizers"] == ["x.example/wait"]
    assert (await api.get(f"{api.slices}/a")).status == 404
