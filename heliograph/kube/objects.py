"""Kubernetes objects as far as Heliograph reads or writes them. Pure.

Fields that are missing here are skipped when decoding, at no cost. Names and meanings are those
of the Kubernetes API reference, v1.36.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import field

FIELD_MANAGER: Final = "heliograph"
"""Under which name the API server keeps what we wrote (`metadata.managedFields`)."""


class KubeStruct(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False
):
    """Base: camelCase in JSON, absent fields have defaults, defaults are not written."""


class ManagedField(KubeStruct, frozen=True, kw_only=True):
    """Who wrote some of an object's fields last."""

    manager: str = ""


class OwnerReference(KubeStruct, frozen=True, kw_only=True):
    """An object that this one belongs to."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(KubeStruct, frozen=True, kw_only=True):
    """Metadata of any object. `resource_version` is opaque: compare for equality only."""

    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    managed_fields: tuple[ManagedField, ...] = ()


class KubeObject(KubeStruct, frozen=True, kw_only=True):
    """Anything with metadata; enough where nothing else is read."""

    metadata: ObjectMeta = ObjectMeta()


class Port(KubeStruct, frozen=True, kw_only=True):
    """A port of a Service, or of an EndpointSlice (where the number may be missing)."""

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None
    target_port: int | str | None = None
    node_port: int = 0
    app_protocol: str | None = None


class ClientIPConfig(KubeStruct, frozen=True, kw_only=True):
    """Configuration of client-IP affinity."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(KubeStruct, frozen=True, kw_only=True):
    """Configuration of session affinity."""

    client_ip: ClientIPConfig | None = field(name="clientIP", default=None)


class ServiceSpec(KubeStruct, frozen=True, kw_only=True):
    """What a Service should be."""

    type: str = "ClusterIP"
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str = ""
    ports: tuple[Port, ...] = ()
    selector: Mapping[str, str] = {}
    session_affinity: str = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    internal_traffic_policy: str = "Cluster"
    external_ips: tuple[str, ...] = field(name="externalIPs", default=())
    external_name: str = ""
    publish_not_ready_addresses: bool = False
    traffic_distribution: str | None = None


class Service(KubeObject, frozen=True, kw_only=True):
    """core/v1 Service."""

    spec: ServiceSpec = ServiceSpec()


class EndpointConditions(KubeStruct, frozen=True, kw_only=True):
    """State of one backend; None means unknown, to be read as Kubernetes' documentation says."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(KubeStruct, frozen=True, kw_only=True):
    """One backend of an EndpointSlice."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None


class EndpointSlice(KubeObject, frozen=True, kw_only=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[Port, ...] | None = None


class NodeAddress(KubeStruct, frozen=True, kw_only=True):
    """One address of a Node."""

    type: str = ""
    address: str = ""


class NodeSpec(KubeStruct, frozen=True, kw_only=True):
    """The ranges of a Node's pods."""

    pod_cidr: str = field(name="podCIDR", default="")
    pod_cidrs: tuple[str, ...] = field(name="podCIDRs", default=())


class Node(KubeObject, frozen=True, kw_only=True):
    """core/v1 Node, without its status: heartbeats live there."""

    spec: NodeSpec = NodeSpec()


class PodSpec(KubeStruct, frozen=True, kw_only=True):
    """Where a Pod runs."""

    node_name: str = ""
    host_network: bool = False


class PodStatus(KubeStruct, frozen=True, kw_only=True):
    """Phase and address of a Pod."""

    phase: str = ""
    pod_ip: str = field(name="podIP", default="")


class Pod(KubeObject, frozen=True, kw_only=True):
    """core/v1 Pod, as far as its address goes."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class NamespaceStatus(KubeStruct, frozen=True, kw_only=True):
    """Phase of a Namespace: Active or Terminating."""

    phase: str = ""


class Namespace(KubeObject, frozen=True, kw_only=True):
    """core/v1 Namespace."""

    status: NamespaceStatus = NamespaceStatus()


class ConfigMap(KubeObject, frozen=True, kw_only=True):
    """core/v1 ConfigMap, as far as it holds text."""

    data: Mapping[str, str] = {}


class ServiceCIDRSpec(KubeStruct, frozen=True, kw_only=True):
    """The ranges of one ServiceCIDR."""

    cidrs: tuple[str, ...] = ()


class ServiceCIDR(KubeObject, frozen=True, kw_only=True):
    """networking.k8s.io/v1 ServiceCIDR."""

    spec: ServiceCIDRSpec = ServiceCIDRSpec()


class ObjectReference(KubeStruct, frozen=True, kw_only=True):
    """Points at an object."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Event(KubeObject, frozen=True, kw_only=True):
    """events.k8s.io/v1 Event; those of older clients lack much of it."""

    event_time: str | None = None
    type: str = ""
    reason: str = ""
    action: str = ""
    note: str = ""
    reporting_controller: str = ""
    reporting_instance: str = ""
    regarding: ObjectReference = ObjectReference()


T = TypeVar("T", bound=KubeObject)


class Resource(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Where objects of one kind are found, and the Struct that they become.

    Attributes:
        api: "/api/v1" or "/apis/GROUP/VERSION".
        plural: The last part of the URL of a list.
        kind: As in the object's own `kind`.
        namespaced: Whether objects live in namespaces.
        struct: What one object decodes to.
    """

    api: str
    plural: str
    kind: str
    namespaced: bool = True
    struct: type[T]

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of its objects."""
        return self.api.removeprefix("/apis/").removeprefix("/api/")

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the URL path of a list, of a namespace's list, or of one object."""
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.api}{inside}/{self.plural}" + (f"/{name}" if name else "")

    def body(self, obj: T) -> bytes:
        """Return the JSON of an object with the type's name, which the Structs leave out."""
        type_meta = _ENCODER.encode({"apiVersion": self.api_version, "kind": self.kind})
        fields = _ENCODER.encode(obj)[1:]
        return type_meta[:-1] + (b"," if fields != b"}" else b"") + fields


_ENCODER: Final = msgspec.json.Encoder()

SERVICES: Final = Resource(api="/api/v1", plural="services", kind="Service", struct=Service)
ENDPOINTS: Final = Resource(api="/api/v1", plural="endpoints", kind="Endpoints", struct=KubeObject)
NAMESPACES: Final = Resource(
    api="/api/v1", plural="namespaces", kind="Namespace", namespaced=False, struct=Namespace
)
CONFIG_MAPS: Final = Resource(
    api="/api/v1", plural="configmaps", kind="ConfigMap", struct=ConfigMap
)
PODS: Final = Resource(api="/api/v1", plural="pods", kind="Pod", struct=Pod)
NODES: Final = Resource(api="/api/v1", plural="nodes", kind="Node", namespaced=False, struct=Node)
ENDPOINT_SLICES: Final = Resource(
    api="/apis/discovery.k8s.io/v1",
    plural="endpointslices",
    kind="EndpointSlice",
    struct=EndpointSlice,
)
SERVICE_CIDRS: Final = Resource(
    api="/apis/networking.k8s.io/v1",
    plural="servicecidrs",
    kind="ServiceCIDR",
    namespaced=False,
    struct=ServiceCIDR,
)
EVENTS: Final = Resource(api="/apis/events.k8s.io/v1", plural="events", kind="Event", struct=Event)


def key_of(obj: KubeObject) -> tuple[str, str]:
    """Return (namespace, name): the identity of an object among those of its kind.

    Tables keep it for each object, and namespaces are few: each is one text only.
    """
    return sys.intern(obj.metadata.namespace), obj.metadata.name


def encode_patch(patch: Mapping[str, Any]) -> bytes:
    """Return the JSON of a merge patch (RFC 7386); None removes a field."""
    return _ENCODER.encode(patch)
