"""Patches: merge, strategic, step by step. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Api,
    Json,
    Object,
    configmap,
    endpoint_slice,
    service,
)

pytest_plugins = ["tests.lab.api_fixtures"]


async def test_a_merge_patch_adds_replaces_and_removes(api: Api) -> None:
    """RFC 7386: members given are set, nulls remove, lists are replaced as a whole."""
    await api.post(api.services, service("a", labels={"keep": "1", "drop": "1"}))
    patch = {
        "metadata": {"labels": {"drop": None, "new": "1"}},
        "spec": {"ports": [{"name": "b", "port": 81}]},
    }
    patched = await api.patch(f"{api.services}/a", patch)

    assert patched.body["metadata"]["labels"] == {"keep": "1", "new": "1"}
    assert [p["port"] for p in patched.body["spec"]["ports"]] == [81]


WRONG_PATCHES: dict[str, tuple[Json, str, int]] = {
    "no object": ([1], MERGE_PATCH, 400),
    "another name": ({"metadata": {"name": "b"}}, MERGE_PATCH, 400),
    "another uid": ({"metadata": {"uid": "b"}}, MERGE_PATCH, 422),
    "a stale version": (
        {"metadata": {"resourceVersion": "1"}, "data": {"b": "c"}},
        MERGE_PATCH,
        409,
    ),
    "plain JSON": ({}, "application/json", 415),
    "a failed test": ([{"op": "test", "path": "/data", "value": 1}], JSON_PATCH, 422),
    "a missing member": ([{"op": "remove", "path": "/nothing"}], JSON_PATCH, 422),
}


@pytest.mark.parametrize(
    ("patch", "media_type", "status"), WRONG_PATCHES.values(), ids=WRONG_PATCHES
)
async def test_senseless_patches_are_refused(
    api: Api, patch: Json, media_type: str, status: int
) -> None:
    """A patch that cannot be meant is refused, and changes nothing."""
    made = await api.post(api.configmaps, configmap("a"))
    answer = await api.patch(f"{api.configmaps}/a", patch, media_type)

    assert (answer.status, answer.body["kind"]) == (status, "Status")
    assert (await api.get(f"{api.configmaps}/a")).body == made.body


async def test_a_patch_of_nothing_is_not_found(api: Api) -> None:
    """Patches do not create."""
    assert (await api.patch(f"{api.configmaps}/a", {})).status == 404


async def test_a_json_patch_goes_step_by_step(api: Api) -> None:
    """RFC 6902: add, replace, remove, move, copy, test."""
    await api.post(api.configmaps, configmap("a", one="1", two="2", three="3"))
    steps = [
        {"op": "test", "path": "/data/one", "value": "1"},
        {"op": "replace", "path": "/data/one", "value": "uno"},
        {"op": "remove", "path": "/data/two"},
        {"op": "copy", "from": "/data/one", "path": "/data/four"},
        {"op": "move", "from": "/data/three", "path": "/data/five"},
        {"op": "add", "path": "/metadata/labels", "value": {"x/y": "z"}},
        {"op": "add", "path": "/metadata/labels/x~1w", "value": "v"},
        {"op": "add", "path": "/metadata/finalizers", "value": ["x.example/2"]},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "x.example/3"},
        {"op": "add", "path": "/metadata/finalizers/0", "value": "x.example/1"},
    ]
    patched = await api.patch(f"{api.configmaps}/a", steps, JSON_PATCH)
    await api.patch(f"{api.configmaps}/a", {"metadata": {"finalizers": None}})

    assert patched.body["data"] == {"one": "uno", "four": "uno", "five": "3"}
    assert patched.body["metadata"]["labels"] == {"x/y": "z", "x/w": "v"}
    assert patched.body["metadata"]["finalizers"] == [f"x.example/{n}" for n in (1, 2, 3)]


def _ports(*pairs: tuple[int, str]) -> list[Object]:
    return [{"port": port, "name": name} for port, name in pairs]


STRATEGIC: dict[str, tuple[Object, list[tuple[int, str]]]] = {
    "merged by port": ({"ports": _ports((2, "new"))}, [(1, "a"), (2, "new")]),
    "a new port": ({"ports": _ports((3, "c"))}, [(3, "c"), (1, "a"), (2, "b")]),
    "deleted": ({"ports": [{"port": 1, "$patch": "delete"}]}, [(2, "b")]),
    "replaced": ({"ports": [{"$patch": "replace"}, *_ports((9, "z"))]}, [(9, "z")]),
    "in a given order": (
        {
            "ports": _ports((3, "c")),
            "$setElementOrder/ports": [{"port": 2}, {"port": 3}, {"port": 1}],
        },
        [(2, "b"), (3, "c"), (1, "a")],
    ),
    "partly ordered": ({"$setElementOrder/ports": [{"port": 2}]}, [(1, "a"), (2, "b")]),
}


@pytest.mark.parametrize(("spec", "ports"), STRATEGIC.values(), ids=STRATEGIC)
async def test_a_strategic_patch_merges_ports_by_number(
    api: Api, spec: Object, ports: list[tuple[int, str]]
) -> None:
    """The ports of a Service are merged by `port`, as `kubectl apply` relies on."""
    await api.post(api.services, service("a", ports=_ports((1, "a"), (2, "b"))))
    patched = await api.patch(f"{api.services}/a", {"spec": spec}, STRATEGIC_PATCH)

    assert patched.status == 200, patched.body
    assert [(p["port"], p["name"]) for p in patched.body["spec"]["ports"]] == ports


async def test_a_strategic_patch_follows_directives(api: Api) -> None:
    """`$retainKeys`, `$patch` in a map and `$deleteFromPrimitiveList` do what they say."""
    obj = service("a", labels={"b": "c"}, selector={"d": "e"})
    obj["metadata"]["finalizers"] = ["x.example/1", "x.example/2"]
    await api.post(api.services, obj)
    patch = {
        "metadata": {
            "labels": {"$retainKeys": ["f"], "f": "g"},
            "$deleteFromPrimitiveList/finalizers": ["x.example/1"],
        },
        "spec": {"selector": {"$patch": "replace", "h": "i"}},
    }
    patched = await api.patch(f"{api.services}/a", patch, STRATEGIC_PATCH)
    await api.patch(f"{api.services}/a", {"metadata": {"finalizers": None}})

    assert patched.body["metadata"]["labels"] == {"f": "g"}
    assert patched.body["metadata"]["finalizers"] == ["x.example/2"]
    assert patched.body["spec"]["selector"] == {"h": "i"}


async def test_a_strategic_patch_needs_the_merge_key(api: Api) -> None:
    """A port without `port` in a strategic patch gets 500, as if it were the server's own fault."""
    await api.post(api.services, service("a"))
    patch = {"spec": {"ports": [{"name": "b"}]}}

    assert (await api.patch(f"{api.services}/a", patch, STRATEGIC_PATCH)).status == 500


async def test_the_endpoints_of_a_slice_are_replaced_as_a_whole(api: Api) -> None:
    """Lists without a merge key are replaced by a strategic patch as well."""
    await api.post(api.slices, endpoint_slice("a", "10.0.0.1", "10.0.0.2"))
    patch = {"endpoints": [{"addresses": ["10.0.0.3"]}]}
    patched = await api.patch(f"{api.slices}/a", patch, STRATEGIC_PATCH)

    assert [e["addresses"] for e in patched.body["endpoints"]] == [["10.0.0.3"]]


async def test_a_strategic_patch_removes_and_adds(api: Api) -> None:
    """Nulls and `$patch: delete` remove, lists of plain values grow at the front."""
    obj = service("a", {"b": "c", "d": "e"}, selector={"f": "g"})
    obj["metadata"] |= {"annotations": {"h": "i"}, "finalizers": ["x.example/1"]}
    await api.post(api.services, obj)
    patch = {
        "metadata": {
            "labels": {"b": None},
            "annotations": {"$patch": "delete"},
            "finalizers": ["x.example/2"],
        },
        "spec": {"selector": None},
    }
    patched = await api.patch(f"{api.services}/a", patch, STRATEGIC_PATCH)
    await api.patch(f"{api.services}/a", {"metadata": {"finalizers": None}})

    meta = patched.body["metadata"]
    assert meta["labels"] == {"d": "e"}
    assert "annotations" not in meta
    assert meta["finalizers"] == ["x.example/2", "x.example/1"]
    assert "selector" not in patched.body["spec"]
