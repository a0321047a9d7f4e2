"""What the in-memory cluster does not serve of custom resources, it refuses with a reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import JsonObject, MemoryCluster, MemoryClusterSettings, StatusError

Change = Callable[[JsonObject], object]


@pytest.fixture
def cluster() -> MemoryCluster:
    """Give a cluster that nobody needs to reach."""
    return MemoryCluster(MemoryClusterSettings(name="west"))


def definition(change: Change) -> JsonObject:
    """Return the definition of Peers with its spec changed."""
    crd = copy.deepcopy(peer_crd())
    change(crd["spec"])
    return crd


def schema(spec: JsonObject) -> dict[str, Any]:
    """Return the schema of a Peer's spec within a definition's spec."""
    root: dict[str, Any] = spec["versions"][0]["schema"]["openAPIV3Schema"]
    return root["properties"]["spec"]


UNSERVED: dict[str, Change] = {
    "a pattern": lambda s: schema(s)["properties"]["publicKey"].update(pattern="^x$"),
    "a member without type": lambda s: schema(s)["properties"].update(more={}),
    "two versions": lambda s: s["versions"].append(s["versions"][0] | {"name": "v1"}),
    "a version that is not served": lambda s: s["versions"][0].update(served=False),
    "columns": lambda s: s["versions"][0].update(additionalPrinterColumns=[]),
    "a webhook": lambda s: s.update(conversion={"strategy": "Webhook"}),
    "another list kind": lambda s: s["names"].update(listKind="Peers"),
    "another singular": lambda s: s["names"].update(singular="one-peer"),
}


@pytest.mark.parametrize("change", UNSERVED.values(), ids=UNSERVED)
def test_a_definition_that_asks_for_more(cluster: MemoryCluster, change: Change) -> None:
    """It is refused whole: nobody shall believe in a check that is not made."""
    with pytest.raises(StatusError, match="serves no such definition") as refused:
        cluster.apply(definition(change))

    assert refused.value.code == 422
    with pytest.raises(StatusError):
        cluster.list("Peer")


INCOMPLETE: dict[str, tuple[Change, str]] = {
    "no group": (lambda s: s.pop("group"), "spec.group"),
    "no kind": (lambda s: s["names"].pop("kind"), "spec.names.kind"),
    "no versions": (lambda s: s.update(versions=[]), "spec.versions"),
}


@pytest.mark.parametrize(("change", "field"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_definition_that_lacks_something(
    cluster: MemoryCluster, change: Change, field: str
) -> None:
    """The refusal names the field."""
    with pytest.raises(StatusError) as refused:
        cluster.apply(definition(change))

    assert field in {cause["field"] for cause in refused.value.details["causes"]}


def test_what_a_definition_may_never_change(cluster: MemoryCluster) -> None:
    """Group, scope, kind and version of a kind that is served stay."""
    cluster.apply(peer_crd())
    changes: list[Change] = [
        lambda s: s.update(scope="Namespaced"),
        lambda s: s["names"].update(kind="Pear", listKind="PearList", singular="pear"),
        lambda s: s["versions"][0].update(name="v1"),
    ]
    for change in changes:
        with pytest.raises(StatusError) as refused:
            cluster.apply(definition(change))
        assert refused.value.code == 422


def test_a_kind_with_a_status_of_its_own(cluster: MemoryCluster) -> None:
    """With the subresource, a status that comes with the object itself is left out."""

    def with_status(spec: JsonObject) -> None:
        spec["versions"][0]["subresources"] = {"status": {}}
        root = spec["versions"][0]["schema"]["openAPIV3Schema"]
        root["properties"]["status"] = {"type": "object", "properties": {}}

    cluster.apply(definition(with_status))
    made = cluster.apply(
        {
            "apiVersion": "kilo.squat.ai/v1alpha1",
            "kind": "Peer",
            "metadata": {"name": "a"},
            "spec": {"allowedIPs": [], "publicKey": "k"},
            "status": {},
        }
    )

    assert "status" not in made


def test_a_definition_goes_with_its_namespaced_objects(cluster: MemoryCluster) -> None:
    """Objects in namespaces go with a namespace, and with their definition."""
    cluster.apply(definition(lambda s: s.update(scope="Namespaced")))
    for space in ("shop", "bar"):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        cluster.apply(
            {
                "apiVersion": "kilo.squat.ai/v1alpha1",
                "kind": "Peer",
                "metadata": {"name": "a", "namespace": space},
                "spec": {"allowedIPs": [], "publicKey": "k"},
            }
        )
    cluster.delete("Namespace", "", "shop")
    left = [peer["metadata"]["namespace"] for peer in cluster.list("Peer")]
    cluster.delete("CustomResourceDefinition", "", "peers.kilo.squat.ai")

    assert left == ["bar"]
    with pytest.raises(StatusError, match="no kind 'Peer' is served"):
        cluster.list("Peer")
