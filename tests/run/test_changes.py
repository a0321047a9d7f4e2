from __future__ import annotations

import msgspec
import pytest

from heliograph.kube.objects import (
    EndpointSlice,
    KubeObject,
    ManagedField,
    ObjectMeta,
    Port,
    Service,
    ServiceSpec,
)
from heliograph.run.changes import change_of, manifest

WHERE = ObjectMeta(name="web", namespace="shop")
WEB = Service(metadata=WHERE, spec=ServiceSpec(ports=(Port(port=80),)))


def decoded(service: Service) -> Service:
    """Return the Service as it is read: with all that the API server writes into it."""
    whole = manifest("Service", service)
    whole["metadata"] = {
        **msgspec.to_builtins(service.metadata),
        "uid": "u1",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "heliograph"}],
    }
    return msgspec.json.decode(msgspec.json.encode(whole), type=Service)


def test_what_the_api_server_adds_is_no_change() -> None:
    """Defaults, identity and authorship are on one side only, and are not shown."""
    assert change_of("Service", decoded(WEB), WEB) is None


def test_a_change_shows_old_and_new() -> None:
    """Defaults stand there too, so that a value has something beside it."""
    sticky = msgspec.structs.replace(WEB.spec, session_affinity="ClientIP")

    change = change_of("Service", decoded(WEB), msgspec.structs.replace(WEB, spec=sticky))

    assert change is not None
    assert (change.action, change.kind, change.namespace, change.name, change.object) == (
        *("change", "Service", "shop", "web"),
        None,
    )
    header, lines = change.diff.splitlines()[:2], change.diff.splitlines()[2:]
    assert header == ["--- Service shop/web as it is", "+++ Service shop/web as planned"]
    assert [line for line in lines if line[0] in "+-"] == [
        "-  sessionAffinity: None",
        "+  sessionAffinity: ClientIP",
    ]


def test_what_comes_and_goes() -> None:
    """What is created is shown whole, what is removed by name."""
    created, removed = change_of("Service", None, WEB), change_of("Service", WEB, None)

    assert created is not None
    assert created.action == "create"
    assert created.object == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "ClusterIP",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        },
    }
    assert removed is not None
    assert (removed.action, removed.diff, removed.object) == ("remove", "", None)


def test_what_is_made_anew_is_told_even_when_it_looks_the_same() -> None:
    """Somebody may depend on its identity."""
    change = change_of("Service", WEB, WEB, recreated=True)

    assert change is not None
    assert (change.action, change.diff) == ("recreate", "")


@pytest.mark.parametrize("ports", [None, (Port(name="http", port=8080),)])
def test_slices_with_and_without_ports(ports: tuple[Port, ...] | None) -> None:
    """A slice without ports means all ports: none are made up."""
    item = EndpointSlice(metadata=WHERE, address_type="IPv4", endpoints=(), ports=ports)

    shown = manifest("EndpointSlice", item)

    assert shown.get("ports") == (
        None if ports is None else [{"name": "http", "port": 8080, "protocol": "TCP"}]
    )


def test_objects_of_which_only_metadata_is_known() -> None:
    """Endpoints are removed by name; others' labels are shown."""
    author = (ManagedField(manager="kubectl"),)
    metadata = ObjectMeta(name="web", namespace="shop", labels={"a": "b"}, managed_fields=author)

    assert manifest("Endpoints", KubeObject(metadata=metadata)) == {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}},
    }
