"""Objects kept as bytes come back as they were."""

from __future__ import annotations

import tracemalloc

import msgspec

from heliograph.kube.objects import ObjectMeta, Service, ServiceSpec
from heliograph.kube.packed import PackedList, PackedObjects

STORED = b"""{
  "metadata": {
    "name": "web", "namespace": "shop", "uid": "6b0f3b5e-0c3e-4d43-9d5b-6a1b8a1f3a10",
    "resourceVersion": "4711", "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {"app.kubernetes.io/managed-by": "heliograph", "team": "payments"},
    "annotations": {"heliograph.io/exporting-clusters": "east", "note": "kept for the others"},
    "finalizers": ["example.com/wait"],
    "ownerReferences": [
      {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": true}
    ],
    "managedFields": [{"manager": "kubectl"}, {"manager": "heliograph"}]
  },
  "spec": {
    "type": "ClusterIP", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"],
    "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "ClientIP",
    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 30}},
    "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web"},
              {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353}]
  }
}"""


def read(text: bytes) -> Service:
    return msgspec.json.decode(text, type=Service)


def test_nothing_of_an_object_is_lost() -> None:
    """Labels, annotations and owners of others are there when it is written back."""
    packed: PackedObjects[str, Service] = PackedObjects(Service)

    packed.put("web", read(STORED))

    assert packed.get("web") == read(STORED)


def test_the_newest_object_of_a_key_stands() -> None:
    """An object takes the place of the older one, and is gone once dropped."""
    packed: PackedObjects[str, Service] = PackedObjects(Service)
    newer = Service(metadata=ObjectMeta(name="web"), spec=ServiceSpec(type="ExternalName"))

    packed.put("web", Service(metadata=ObjectMeta(name="web")))
    packed.put("web", newer)
    assert (len(packed), list(packed), packed.get("web")) == (1, ["web"], newer)

    assert (packed.pop("web"), packed.pop("web")) == (newer, None)
    assert ("web" in packed, packed.get("web")) == (False, None)


def test_packed_objects_take_less_than_half_the_memory() -> None:
    """A thousand Services take less than half of what their Structs take."""
    packed: PackedObjects[int, Service] = PackedObjects(Service)
    tracemalloc.start()
    try:
        for number in range(1000):
            packed.put(number, read(STORED))
        packed_bytes, _ = tracemalloc.get_traced_memory()
        structs = [read(STORED) for _ in range(1000)]
        structs_bytes = tracemalloc.get_traced_memory()[0] - packed_bytes
    finally:
        tracemalloc.stop()

    assert len(structs) == len(packed)
    assert packed_bytes < structs_bytes / 2


def test_a_packed_list_keeps_the_order() -> None:
    """A listing can be gone through more than once, and comes as the API server gave it."""
    names = ["b", "a", "c"]
    services = [Service(metadata=ObjectMeta(name=name)) for name in names]
    packed = PackedList(Service, services[:1])

    packed.extend(services[1:])

    assert [item.metadata.name for item in packed] == names
    assert (list(packed), len(packed)) == (services, 3)
    assert (packed[-1], packed[:2]) == (services[2], services[:2])
    assert services[2] in packed
    assert Service() not in packed
