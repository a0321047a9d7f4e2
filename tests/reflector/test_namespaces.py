from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.kube.rights import Right
from heliograph.lab.memory import JsonObject, Kind
from services.reflector.namespaces import ApiResource, ApiResourceList, countable
from services.reflector.rights import NAMESPACE_RIGHTS, RIGHTS
from tests.reflector.conftest import Join
from tests.support.joined import Cluster, JoinedClusters, eventually

OWN = "kube-root-ca.crt"
KINDS = {
    # case                           group and version   name           the name that does not count
    "ordinary":                      ("v1",              "pods",         ""),
    "of a group":                    ("apps/v1",         "deployments",  ""),
    "with one of Kubernetes' own":   ("v1",              "configmaps",   OWN),
    "of that name in another group": ("example.org/v1",  "configmaps",   ""),
    "a subresource":                 ("v1",              "pods/status",  None),
    "events":                        ("v1",              "events",       None),
    "events, the newer form":        ("events.k8s.io/v1", "events",      None),
    "somebody's events":             ("example.org/v1",  "events",       ""),
}  # fmt: skip


def of(group_version: str, name: str, **facts: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Return what is to be listed of a kind."""
    kind = ApiResource(**{"name": name, "namespaced": True, "verbs": ("get", "list"), **facts})
    kinds = ApiResourceList(group_version=group_version, resources=(kind,))
    return list(countable(kinds, "shop"))


@pytest.mark.parametrize(("group_version", "name", "uncounted"), KINDS.values(), ids=KINDS)
def test_every_kind_counts_that_can_be_in_a_namespace(
    group_version: str, name: str, uncounted: str | None
) -> None:
    """What Kubernetes puts into every namespace by itself does not count, nor do Events."""
    api = "api" if group_version == "v1" else "apis"
    path = f"/{api}/{group_version}/namespaces/shop/{name}"

    assert of(group_version, name) == ([] if uncounted is None else [(path, uncounted)])


def test_kinds_that_cannot_be_in_a_namespace_do_not_count() -> None:
    """Kinds of the whole cluster, and those of which nothing is stored."""
    assert of("v1", "nodes", namespaced=False) == []
    assert of("v1", "bindings", verbs=("create",)) == []


def test_looking_into_namespaces_needs_the_right_to() -> None:
    """Only who may list everything can know that nothing is left."""
    assert Right(group="*", resource="*", verbs=("list",)) in NAMESPACE_RIGHTS
    assert not any(right.group == "*" for right in RIGHTS)


def state(cluster: Cluster, name: str = "new") -> str:
    """Return a namespace's phase."""
    found = cluster.api.get("Namespace", "", name)
    return found["status"]["phase"] if found else "Missing"


def add_namespace(cluster: Cluster, name: str = "new") -> JsonObject:
    return cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def put(
    cluster: Cluster, kind: str, name: str, namespace: str = "new", version: str = "v1"
) -> None:
    """Create something in a namespace."""
    metadata = {"name": name, "namespace": namespace}
    cluster.api.apply({"apiVersion": version, "kind": kind, "metadata": metadata})


@pytest.mark.nats
async def test_a_mirror_waits_for_its_namespace(join: Join) -> None:
    """It appears with the namespace, goes with it, and comes back with it."""
    async with join("east", "west") as lab:
        west = lab["west"]
        add_namespace(lab["east"])
        lab["east"].export(namespace="new")
        await eventually(lambda: west.reflector.refused("new", "cart") == ("NamespaceMissing",))

        add_namespace(west)
        await eventually(lambda: west.service(namespace="new"))
        await eventually(lambda: west.reflector.refused("new", "cart") == ())
        west.api.hold_namespace("new")
        west.api.delete("Namespace", "", "new")
        west.api.delete("Service", "new", "cart")
        await eventually(lambda: west.reflector.refused("new", "cart") == ("NamespaceTerminating",))
        writes = west.writes
        await lab.processed("east", "west")
        assert west.writes - writes == 4  # the marker's: twice its Service, twice its slice

        west.api.release_namespace("new")
        await eventually(lambda: west.reflector.refused("new", "cart") == ("NamespaceMissing",))
        add_namespace(west)
        await eventually(lambda: west.service(namespace="new") and west.slices(namespace="new"))


@pytest.mark.nats
async def test_namespaces_are_created_if_allowed_and_removed_when_empty(join: Join) -> None:
    """What Kubernetes puts into every namespace does not keep it."""
    async with join("east", "west", create_namespaces=True) as lab:
        add_namespace(lab["east"])
        for name in ("a", "b"):
            lab["east"].export(name, namespace="new")
        await eventually(
            lambda: lab["west"].service("a", "new") and lab["west"].service("b", "new")
        )
        put(lab["west"], "ConfigMap", "kube-root-ca.crt")
        put(lab["west"], "ServiceAccount", "default")

        lab["east"].api.delete("Service", "new", "a")
        await eventually(lambda: not lab["west"].service("a", "new"))
        await lab.processed("east", "west")
        assert state(lab["west"]) == "Active"
        lab["east"].api.delete("Service", "new", "b")

        await eventually(lambda: state(lab["west"]) == "Missing")


CONTENT = [
    ("ConfigMap", "settings", "v1"),
    ("Secret", "password", "v1"),
    ("Lease", "leader", "coordination.k8s.io/v1"),
    ("Peer", "custom", "kilo.squat.ai/v1alpha1"),
]


@pytest.mark.nats
@pytest.mark.parametrize(("kind", "name", "version"), CONTENT, ids=[c[0] for c in CONTENT])
async def test_a_namespace_with_anything_in_it_is_kept(
    join: Join, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, version: str
) -> None:
    """The older one deleted whole namespaces after counting Services only."""
    monkeypatch.setattr("services.reflector.namespaces._PERIOD_S", 0.3)
    monkeypatch.setattr("services.reflector.namespaces._REST_S", 0.05)
    async with join("east", "west", create_namespaces=True) as lab:
        west = lab["west"]
        west.api.register(
            Kind(group="kilo.squat.ai", version="v1alpha1", name="Peer", plural="peers")
        )
        await mirror_in_a_new_namespace(lab)
        put(west, kind, name, version=version)

        lab["east"].api.delete("Service", "new", "cart")
        looks = west.api.requests["list", "pods"]
        await eventually(lambda: west.api.requests["list", "configmaps"] > 2 or looks)
        await lab.processed("east", "west")
        assert state(west) == "Active"
        west.api.delete(kind, "new", name)

        await eventually(lambda: state(west) == "Missing")


async def mirror_in_a_new_namespace(lab: JoinedClusters) -> None:
    """Export a Service from a namespace that west does not have."""
    add_namespace(lab["east"])
    lab["east"].export(namespace="new")
    await eventually(lambda: lab["west"].service(namespace="new"))
    await eventually(lambda: lab["west"].slices(namespace="new"))


@pytest.mark.nats
async def test_a_namespace_of_somebody_else_is_kept(join: Join) -> None:
    """Only what we made is removed: by mark and by authorship."""
    async with join("east", "west", create_namespaces=True) as lab:
        made = add_namespace(lab["west"])
        made["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "heliograph"
        lab["west"].api.apply(made)
        await mirror_in_a_new_namespace(lab)

        lab["east"].api.delete("Service", "new", "cart")
        await eventually(lambda: not lab["west"].service(namespace="new"))
        await lab.processed("east", "west")
        await asyncio.wait_for(lab["west"].reflector.caught_up(), 5)

        assert state(lab["west"]) == "Active"
        assert lab["west"].api.requests["delete", "namespaces"] == 0


@pytest.mark.nats
async def test_a_namespace_in_doubt_is_kept(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion that is refused, for whatever reason, is tried again later."""
    monkeypatch.setattr("services.reflector.namespaces._PERIOD_S", 0.3)
    monkeypatch.setattr("services.reflector.namespaces._REST_S", 0.05)
    async with join("east", "west", create_namespaces=True) as lab:
        west = lab["west"]
        await mirror_in_a_new_namespace(lab)
        lab["east"].api.delete("Service", "new", "cart")
        await eventually(lambda: not west.service(namespace="new"))
        await eventually(lambda: not west.slices(namespace="new"))
        west.api.fail_writes(2, status=409)

        await eventually(lambda: state(west) == "Missing")

        assert west.api.requests["delete", "namespaces"] == 3
