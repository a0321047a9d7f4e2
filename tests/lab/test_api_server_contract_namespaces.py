"""Namespaces: from birth to disappearance. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import Api, configmap, endpoint_slice, service

pytest_plugins = ["tests.lab.api_fixtures"]

ALL = "/api/v1/namespaces"


async def test_the_usual_namespaces_are_there(api: Api) -> None:
    """Every cluster begins with the same four."""
    usual = {"default", "kube-system", "kube-public", "kube-node-lease"}

    assert usual < set((await api.get(ALL)).names)


async def test_a_namespace_is_completed(api: Api) -> None:
    """A namespace is Active, has the server's finalizer, and a label with its name."""
    found = (await api.get(f"{ALL}/{api.namespace}")).body

    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": api.namespace}
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["status"] == {"phase": "Active"}
    assert "namespace" not in found["metadata"]


async def test_the_name_label_cannot_be_removed(api: Api) -> None:
    """An update without the label with the name gets it back; other labels are free."""
    labels = {"x": "y"}
    obj = {"metadata": {"name": api.namespace, "labels": labels}}
    put = await api.put(f"{ALL}/{api.namespace}", obj)

    expected = labels | {"kubernetes.io/metadata.name": api.namespace}
    assert put.body["metadata"]["labels"] == expected


@pytest.mark.parametrize("name", ["a.b", "A", "a" * 64, "-a"])
async def test_names_are_labels(api: Api, name: str) -> None:
    """A name that is no DNS label gets 422."""
    answer = await api.post(ALL, {"metadata": {"name": name}})

    assert (answer.status, answer.reason) == (422, "Invalid")
    assert "Invalid metadata.name" in answer.causes


async def test_a_deleted_namespace_takes_everything_along(api: Api) -> None:
    """After a DELETE the namespace is Terminating, then its objects and itself are gone."""
    await api.post(api.services, service("a"))
    await api.post(api.slices, endpoint_slice("a"))
    path = f"{ALL}/{api.namespace}"
    deleted = await api.delete(path)

    assert (deleted.status, deleted.body["kind"]) == (200, "Namespace")
    assert deleted.body["status"]["phase"] == "Terminating"
    assert deleted.body["metadata"]["deletionTimestamp"]
    await api.until(path, lambda answer: answer.status == 404)
    assert (await api.get(api.services)).body["items"] == []
    assert (await api.get(f"{api.slices}/a")).status == 404


async def test_the_end_of_a_namespace_can_be_watched(api: Api) -> None:
    """Watches see the namespace change first, its objects deleted, and itself deleted last."""
    await api.post(api.services, service("a"))
    version = (await api.get(ALL)).version
    selector = f"metadata.name={api.namespace}"
    async with (
        api.watch(ALL, resourceVersion=version, fieldSelector=selector) as spaces,
        api.watch(api.services, resourceVersion=version) as services,
    ):
        await api.delete(f"{ALL}/{api.namespace}")
        first, phase = await spaces.next()
        kind, gone = await services.next()
        last = await spaces.next()
        while last[0] == "MODIFIED":
            last = await spaces.next()

    assert (first, phase["status"]["phase"]) == ("MODIFIED", "Terminating")
    assert (kind, gone["metadata"]["name"]) == ("DELETED", "a")
    assert last[0] == "DELETED"
    versions = [int(o["metadata"]["resourceVersion"]) for o in (phase, gone, last[1])]
    assert versions == sorted(versions)


async def test_a_terminating_namespace_takes_nothing_new(api: Api) -> None:
    """While something holds it, creations get 403 with a cause, and updates still work."""
    held = configmap("held")
    held["metadata"]["finalizers"] = ["x.example/wait"]
    await api.post(api.configmaps, held)
    path = f"{ALL}/{api.namespace}"
    await api.delete(path)
    refused = await api.post(api.services, service("a"))
    patch = {"metadata": {"annotations": {"b": "c"}}}
    updated = await api.patch(f"{api.configmaps}/held", patch)
    again = await api.delete(path)
    await api.patch(f"{api.configmaps}/held", {"metadata": {"finalizers": None}})

    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert refused.causes == {"NamespaceTerminating metadata.namespace"}
    assert updated.status == 200
    assert (again.status, again.body["kind"]) == (200, "Namespace")
    await api.until(path, lambda answer: answer.status == 404)


async def test_a_namespace_waits_for_its_finalizers(api: Api) -> None:
    """A finalizer of somebody else in the spec, set by `/finalize`, keeps the namespace."""
    path = f"{ALL}/{api.namespace}"
    meta = {"name": api.namespace}
    kept = {"finalizers": ["kubernetes", "x.example/wait"]}
    await api.put(f"{path}/finalize", {"metadata": meta, "spec": kept})
    await api.delete(path)
    await api.until(path, lambda a: "x.example/wait" in a.body["spec"]["finalizers"])
    assert (await api.post(api.services, service("a"))).status == 403

    async def release() -> int:
        found = (await api.get(path)).body
        left = [f for f in found["spec"]["finalizers"] if f != "x.example/wait"]
        found["spec"]["finalizers"] = left
        return (await api.put(f"{path}/finalize", found)).status

    while await release() == 409:  # the real server's controller writes as well
        pass
    await api.until(path, lambda answer: answer.status == 404)


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_some_namespaces_are_for_ever(api: Api, name: str) -> None:
    """The server's own namespaces cannot be deleted."""
    answer = await api.delete(f"{ALL}/{name}")

    assert (answer.status, answer.reason) == (403, "Forbidden")


async def test_the_finalizer_of_the_server_is_added_once(api: Api) -> None:
    """A namespace that already names the server's finalizer has it once."""
    name = f"{api.namespace}-kept"
    spec = {"finalizers": ["kubernetes"]}
    made = await api.post(ALL, {"metadata": {"name": name}, "spec": spec})
    await api.delete(f"{ALL}/{name}")

    assert made.body["spec"] == spec


async def test_a_deletion_can_be_tried(api: Api) -> None:
    """A dry run of a namespace's deletion shows it Terminating, and leaves it Active."""
    path = f"{ALL}/{api.namespace}"
    tried = await api.delete(path, dryRun="All")

    assert tried.body["status"]["phase"] == "Terminating"
    assert (await api.get(path)).body["status"]["phase"] == "Active"
