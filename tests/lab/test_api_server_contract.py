"""Objects: create, read, replace, patch, delete. True of the in-memory and of the real server."""

from __future__ import annotations

import pytest

from tests.lab.api_client import (
    Api,
    Json,
    Object,
    configmap,
    endpoint_slice,
    service,
)

pytest_plugins = ["tests.lab.api_fixtures"]


async def test_a_creation_is_answered_with_the_completed_object(api: Api) -> None:
    """Created objects come back with uid, time, version and author."""
    made = await api.post(api.configmaps, configmap("a", key="value"))

    meta = made.body["metadata"]
    author = meta["managedFields"][0]
    assert made.status == 201
    assert (made.body["kind"], made.body["apiVersion"]) == ("ConfigMap", "v1")
    assert made.body["data"] == {"key": "value"}
    assert (meta["name"], meta["namespace"]) == ("a", api.namespace)
    assert len(meta["uid"]) == 36
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["resourceVersion"].isdigit()
    assert (author["manager"], author["operation"], author["apiVersion"]) == (
        "contract",
        "Update",
        "v1",
    )
    assert (await api.get(f"{api.configmaps}/a")).body == made.body


async def test_the_field_manager_is_the_parameter_if_there_is_one(api: Api) -> None:
    """`fieldManager` names the author, and each author has one entry."""
    labels, path = {"b": "c"}, f"{api.configmaps}/a"
    await api.post(api.configmaps, configmap("a", labels), fieldManager="first")
    await api.put(path, configmap("a", labels, key="1"), fieldManager="second")
    last = await api.put(path, configmap("a", labels, key="2"), fieldManager="second")

    authors = [e["manager"] for e in last.body["metadata"]["managedFields"]]
    assert sorted(authors) == ["first", "second"]


async def test_a_name_is_taken_once(api: Api) -> None:
    """A second creation of a name gets 409 AlreadyExists."""
    await api.post(api.configmaps, configmap("a"))
    again = await api.post(api.configmaps, configmap("a"))

    assert (again.status, again.reason) == (409, "AlreadyExists")
    assert again.body["message"] == 'configmaps "a" already exists'
    assert again.body["details"] == {"name": "a", "kind": "configmaps"}


async def test_names_can_be_generated(api: Api) -> None:
    """`generateName` is completed by five characters, differently each time."""
    obj = {"metadata": {"generateName": "many-"}}
    names = {(await api.post(api.configmaps, obj)).body["metadata"]["name"] for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("many-") and len(name) == len("many-") + 5 for name in names)


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    """Missing objects, namespaces and resources get 404; lists of missing namespaces do not."""
    missing = await api.get(f"{api.configmaps}/a")
    nowhere = await api.post("/api/v1/namespaces/nowhere/configmaps", configmap("a"))
    listed = await api.get("/api/v1/namespaces/nowhere/configmaps")

    assert (missing.status, missing.reason) == (404, "NotFound")
    assert missing.body["details"] == {"name": "a", "kind": "configmaps"}
    assert nowhere.body["details"] == {"name": "nowhere", "kind": "namespaces"}
    assert (nowhere.status, nowhere.reason) == (404, "NotFound")
    assert (listed.status, listed.body["items"]) == (200, [])
    assert (await api.get("/api/v1/heliographs")).reason == "NotFound"
    assert (await api.get("/apis/nobody.example/v1/things")).status == 404


async def test_requests_without_credentials_are_unauthorized(api: Api) -> None:
    """A wrong token gets 401 with a Status."""
    session = api._session  # noqa: SLF001 - the one place that needs other headers
    headers = {"Authorization": "Bearer wrong"}
    async with session.get(api.configmaps, headers=headers) as response:
        assert response.status == 401
        assert (await response.json())["reason"] == "Unauthorized"


WRONG_BODIES: dict[str, tuple[Json, str, int]] = {
    "not JSON": (b"{", "application/json", 400),
    "another kind": ({"kind": "Pod", "apiVersion": "v1"}, "application/json", 400),
    "another namespace": ({"metadata": {"name": "a", "namespace": "b"}}, "application/json", 400),
    "a number for a text": (configmap("a") | {"data": {"key": 1}}, "application/json", 400),
    "a number for a label": (
        {"metadata": {"name": "a", "labels": {"b": 1}}},
        "application/json",
        400,
    ),
    "a form nobody speaks": (b"name: a", "text/plain", 415),
    "a version at birth": (
        {"metadata": {"name": "a", "resourceVersion": "1"}},
        "application/json",
        500,
    ),
    "no name": ({"metadata": {}}, "application/json", 422),
}


@pytest.mark.parametrize(("body", "media_type", "status"), WRONG_BODIES.values(), ids=WRONG_BODIES)
async def test_senseless_creations_are_refused(
    api: Api, body: Json, media_type: str, status: int
) -> None:
    """What cannot be read as an object of the kind is refused with a Status."""
    answer = await api.call("POST", api.configmaps, body, media_type)

    assert (answer.status, answer.body["kind"]) == (status, "Status")


INVALID_METADATA: dict[str, tuple[Object, tuple[str, str]]] = {
    "name": ({"name": "A_b"}, "Invalid metadata.name"),
    "long name": ({"name": "a" * 254}, "Invalid metadata.name"),
    "label key": ({"name": "a", "labels": {"b c": "d"}}, "Invalid metadata.labels"),
    "label prefix": (
        {"name": "a", "labels": {"B_/c": "d"}},
        "Invalid metadata.labels",
    ),
    "long label key": (
        {"name": "a", "labels": {"b" * 64: "c"}},
        "Invalid metadata.labels",
    ),
    "label value": ({"name": "a", "labels": {"b": "c d"}}, "Invalid metadata.labels"),
    "long label": ({"name": "a", "labels": {"b": "c" * 64}}, "Invalid metadata.labels"),
    "annotation": ({"name": "a", "annotations": {"b c": ""}}, "Invalid metadata.annotations"),
    "annotations": (
        {"name": "a", "annotations": {"b": "c" * 270_000}},
        "TooLong metadata.annotations",
    ),
    "owner": (
        {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "b"}]},
        "Invalid metadata.ownerReferences.uid",
    ),
    "finalizer": ({"name": "a", "finalizers": ["unqualified"]}, "Invalid metadata.finalizers[0]"),
}


@pytest.mark.parametrize(("meta", "cause"), INVALID_METADATA.values(), ids=INVALID_METADATA)
async def test_invalid_metadata_is_refused_with_its_cause(
    api: Api, meta: Object, cause: tuple[str, str]
) -> None:
    """Invalid metadata gets 422 Invalid and names the field."""
    answer = await api.post(api.configmaps, {"metadata": meta})

    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.causes == {cause}


async def test_empty_and_null_members_vanish(api: Api) -> None:
    """Empty maps and lists, and nulls, are as if they were not there."""
    meta = {"name": "a", "labels": {}, "annotations": None, "finalizers": []}
    made = await api.post(api.services, service("a") | {"metadata": meta})

    assert {"labels", "annotations", "finalizers"}.isdisjoint(made.body["metadata"])


async def test_unknown_members_are_dropped_with_a_warning(api: Api) -> None:
    """A misspelt member is no error but a warning, and it is not stored."""
    made = await api.post(api.services, service("a", selectors={"a": "b"}))

    assert made.status == 201
    assert "selectors" not in made.body["spec"]
    assert made.headers["Warning"] == '299 - "unknown field \\"spec.selectors\\""'


async def test_unknown_members_are_refused_when_strict(api: Api) -> None:
    """`fieldValidation=Strict` makes an error of a misspelt member."""
    answer = await api.post(api.services, service("a", selectors={}), fieldValidation="Strict")

    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert 'unknown field "spec.selectors"' in answer.body["message"]


async def test_a_dry_run_stores_nothing(api: Api) -> None:
    """`dryRun=All` answers as if it had been done, for every verb."""
    planned = await api.post(api.services, service("a"), dryRun="All")
    assert (planned.status, planned.body["spec"]["type"]) == (201, "ClusterIP")
    assert (await api.get(f"{api.services}/a")).status == 404

    made = await api.post(api.services, service("a"))
    await api.put(f"{api.services}/a", service("a", labels={"b": "c"}), dryRun="All")
    await api.delete(f"{api.services}/a", dryRun="All")
    assert (await api.get(f"{api.services}/a")).body == made.body


async def test_an_update_needs_the_stored_version_or_none(api: Api) -> None:
    """A stale resource version gets 409 Conflict; without one the update is unconditional."""
    made = await api.post(api.configmaps, configmap("a"))
    versioned = configmap("a", key="1")
    versioned["metadata"]["resourceVersion"] = made.version

    first = await api.put(f"{api.configmaps}/a", versioned)
    stale = await api.put(f"{api.configmaps}/a", versioned)
    free = await api.put(f"{api.configmaps}/a", configmap("a", key="2"))

    assert (first.status, stale.status, free.status) == (200, 409, 200)
    assert stale.reason == "Conflict"
    assert stale.body["details"] == {"name": "a", "kind": "configmaps"}
    assert int(made.version) < int(first.version) < int(free.version)


async def test_leases_are_never_updated_without_a_version(api: Api) -> None:
    """Kinds without unconditional updates get 422 when the version is missing."""
    lease = {"metadata": {"name": "a"}, "spec": {"holderIdentity": "b"}}
    await api.post(api.leases, lease)
    answer = await api.put(f"{api.leases}/a", lease)

    assert answer.status == 422
    assert answer.causes == {"Invalid metadata.resourceVersion"}


async def test_an_update_without_change_keeps_the_version(api: Api) -> None:
    """Replacing or patching an object by itself writes nothing."""
    made = await api.post(api.services, service("a", labels={"b": "c"}))
    put = await api.put(f"{api.services}/a", service("a", labels={"b": "c"}))
    patched = await api.patch(f"{api.services}/a", {"metadata": {"labels": {"b": "c"}}})

    assert put.version == patched.version == made.version


async def test_an_update_names_the_object_it_means(api: Api) -> None:
    """Another name or none gets 400, another uid 409, a version that is none 500."""
    await api.post(api.configmaps, configmap("a"))
    path = f"{api.configmaps}/a"
    other_uid = {"metadata": {"name": "a", "uid": "1"}, "data": {}}

    assert (await api.put(path, configmap("b"))).status == 400
    assert (await api.put(path, {"metadata": {}})).status == 400
    assert (await api.put(path, other_uid)).status == 409
    no_version = {"metadata": {"name": "a", "resourceVersion": "abc"}}
    assert (await api.put(path, no_version)).status == 500


async def test_only_some_kinds_are_created_by_an_update(api: Api) -> None:
    """A PUT of a missing name creates a Service, but no EndpointSlice and no ConfigMap."""
    assert (await api.put(f"{api.services}/a", service("a"))).status == 201
    assert (await api.put(f"{api.slices}/a", endpoint_slice("a"))).status == 404
    assert (await api.put(f"{api.configmaps}/a", configmap("a"))).status == 404


async def test_identity_and_birth_cannot_be_changed(api: Api) -> None:
    """Time of creation, generation and deletion marks in an update are ignored."""
    made = await api.post(api.slices, endpoint_slice("a"))
    changed = endpoint_slice("a")
    changed["metadata"] |= {
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "generation": 7,
        "labels": {"b": "c"},
    }
    put = await api.put(f"{api.slices}/a", changed)

    before, after = made.body["metadata"], put.body["metadata"]
    assert after["uid"] == before["uid"]
    assert after["creationTimestamp"] == before["creationTimestamp"]
    assert after["generation"] == 2


async def test_status_is_written_by_its_own_requests_only(api: Api) -> None:
    """An update leaves the status, an update of the status leaves the spec."""
    made = await api.post("/api/v1/nodes", {"metadata": {"name": api.namespace}})
    path = f"/api/v1/nodes/{api.namespace}"
    status = {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}

    main = await api.patch(path, {"spec": {"podCIDR": "10.1.0.0/24"}, "status": status})
    sub = await api.patch(f"{path}/status", {"spec": {"podCIDR": None}, "status": status})
    await api.delete(path)

    assert made.status == 201
    assert "addresses" not in main.body["status"]
    assert sub.body["status"]["addresses"] == status["addresses"]
    assert sub.body["spec"]["podCIDR"] == "10.1.0.0/24"


async def test_methods_have_their_places(api: Api) -> None:
    """What the path does not allow gets 405."""
    for method, path in (
        ("POST", f"{api.configmaps}/a"),
        ("PUT", api.configmaps),
        ("POST", "/api/v1/configmaps"),
    ):
        answer = await api.call(method, path, configmap("a"))
        assert (answer.status, answer.reason) == (405, "MethodNotAllowed")


async def test_cluster_scoped_objects_have_no_namespace(api: Api) -> None:
    """A namespace in the metadata of a node is no error, and not stored."""
    obj = {"metadata": {"name": api.namespace, "namespace": "default"}}
    made = await api.post("/api/v1/nodes", obj)
    await api.delete(f"/api/v1/nodes/{api.namespace}")

    assert made.status == 201
    assert "namespace" not in made.body["metadata"]
