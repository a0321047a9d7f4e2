"""Kubernetes' JSON becomes small objects, and objects become JSON that the API server takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    EVENTS,
    NODES,
    SERVICES,
    EndpointSlice,
    KubeObject,
    ObjectMeta,
    Resource,
    Service,
    encode_patch,
    key_of,
)
from tests.support.builders import as_json, backend, endpoint_slice, named, service

PATHS = {
    "all Services": (SERVICES, ("", ""), "/api/v1/services"),
    "of a namespace": (SERVICES, ("shop", ""), "/api/v1/namespaces/shop/services"),
    "one Service": (SERVICES, ("shop", "cart"), "/api/v1/namespaces/shop/services/cart"),
    "one Node": (NODES, ("", "n1"), "/api/v1/nodes/n1"),
    "a Node has no namespace": (NODES, ("shop", "n1"), "/api/v1/nodes/n1"),
    "of a group": (
        ENDPOINT_SLICES,
        ("shop", "x"),
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/x",
    ),
}
FROM_A_SERVER: dict[str, Any] = {
    "metadata": {"name": "x", "creationTimestamp": None, "generation": 3, "labels": {}},
    "addressType": "IPv4",
    "endpoints": [
        {"addresses": ["10.42.0.5"], "conditions": {}, "nodeName": "n1", "zone": "a"},
    ],
    "ports": None,
    "fieldToCome": {"deep": [1]},
}


@pytest.mark.parametrize(("resource", "place", "path"), PATHS.values(), ids=PATHS)
def test_paths(resource: Resource[KubeObject], place: tuple[str, str], path: str) -> None:
    """Where lists and objects are found."""
    assert resource.path(*place) == path


def test_api_versions() -> None:
    """The core group has no name."""
    assert (SERVICES.api_version, ENDPOINT_SLICES.api_version) == ("v1", "discovery.k8s.io/v1")


def test_what_a_server_sends_is_understood() -> None:
    """Unknown fields are skipped, absent and null ones have their defaults."""
    item = msgspec.convert(FROM_A_SERVER, EndpointSlice)
    assert item.endpoints == (backend("10.42.0.5"),)
    assert item.ports is None
    assert item.metadata.creation_timestamp is None


def test_events_of_older_clients_are_understood() -> None:
    """They have counts and time stamps of their own, and null where newer ones have a time."""
    old = {"metadata": {"name": "x"}, "eventTime": None, "reason": "Pulled", "deprecatedCount": 3}
    assert msgspec.convert(old, EVENTS.struct).reason == "Pulled"


def test_what_is_written_has_kind_and_version_and_no_defaults() -> None:
    """The API server fills in what was left out."""
    body = as_json(ENDPOINT_SLICES, endpoint_slice(backend("10.42.0.5", ready=False), ports=()))
    assert body == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "cart-x1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "cart"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.42.0.5"], "conditions": {"ready": False}}],
        "ports": [],
    }


@pytest.mark.parametrize("obj", [service(), Service()], ids=["usual", "nothing but defaults"])
def test_an_object_survives_being_written(obj: Service) -> None:
    """What is written is read as it was."""
    assert msgspec.json.decode(SERVICES.body(obj), type=Service) == obj


def test_the_identity_of_an_object() -> None:
    """Namespace and name."""
    assert key_of(named("cart", "shop")) == ("shop", "cart")


def test_a_merge_patch_can_remove() -> None:
    """None removes a field."""
    assert (
        encode_patch({"metadata": {"labels": {"a": None}}}) == b'{"metadata":{"labels":{"a":null}}}'
    )


def test_metadata_without_anything() -> None:
    """An object needs no field at all."""
    assert msgspec.json.decode(b'{"metadata":{}}', type=KubeObject).metadata == ObjectMeta()
