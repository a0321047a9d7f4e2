"""The kinds that the server knows: what they are called and how they behave. Pure.

`BUILT_IN` is where every cluster begins; CustomResourceDefinitions add to it at run time.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heliograph.lab.memory.names import check_label, check_subdomain
from heliograph.lab.memory.objects import JsonObject, labels_of
from heliograph.lab.memory.status import Cause

NameCheck = Callable[[str, str], list[Cause]]
Differs = Callable[[JsonObject, JsonObject], bool]


def content_differs(new: JsonObject, old: JsonObject) -> bool:
    """Whether anything but metadata and status differs: what a generation usually counts."""
    aside = ("metadata", "status")
    left = {k: v for k, v in new.items() if k not in aside}
    return left != {k: v for k, v in old.items() if k not in aside}


def all_but_metadata_differs(new: JsonObject, old: JsonObject) -> bool:
    """Whether anything but metadata differs: custom resources without status subresource."""
    return {**new, "metadata": None} != {**old, "metadata": None}


def content_or_labels_differ(new: JsonObject, old: JsonObject) -> bool:
    """Whether content or labels differ: EndpointSlices count both."""
    return content_differs(new, old) or labels_of(new) != labels_of(old)


MERGE_KEYS = (
    ("metadata.finalizers", ""),
    ("metadata.ownerReferences", "uid"),
    ("status.conditions", "type"),
)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind is called, and which of the general rules hold for it.

    Attributes:
        group: API group, empty for core.
        version: The one version served, such as "v1".
        name: The kind itself, such as "Service".
        plural: Its name in paths.
        short_names: What kubectl takes for it as well.
        categories: Groups of kinds that kubectl takes for it: "all".
        namespaced: Whether its objects live in namespaces.
        status: Whether `status` is a subresource, written by its own requests only.
        status_reset: Whether a creation starts with the server's status, not with the client's.
        generation: What `metadata.generation` counts; None when the kind has none.
        unconditional_update: Whether a PUT may come without a resource version.
        create_on_update: Whether a PUT of a name that does not exist creates it.
        returns_deleted: Whether a DELETE is answered with the object (otherwise with a Status).
        custom: Whether it is a custom resource: bodies must, and list items do, carry `kind` and
            `apiVersion`, and there is no strategic merge patch.
        fields: Paths that field selectors may name, beside name and namespace.
        merge_keys: Lists that a strategic merge patch merges: dotted path and merge key, which is
            empty for lists of plain values.
        check_name: Says what is wrong with a name.
    """

    group: str = ""
    version: str = "v1"
    name: str
    plural: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    status_reset: bool = False
    generation: Differs | None = None
    unconditional_update: bool = True
    create_on_update: bool = False
    returns_deleted: bool = False
    custom: bool = False
    fields: tuple[str, ...] = ()
    merge_keys: tuple[tuple[str, str], ...] = MERGE_KEYS
    check_name: NameCheck = check_subdomain

    @property
    def api_version(self) -> str:
        """Return "v1" or "group/version"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """Return the name in lower case."""
        return self.name.lower()

    @property
    def resource(self) -> str:
        """Return the plural with its group, as messages name it: "peers.kilo.squat.ai"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_name(self) -> str:
        """Return the kind with its group, as messages about invalid objects name it."""
        return f"{self.name}.{self.group}" if self.group else self.name

    def wrap(self, body: bytes) -> bytes:
        """Return an object's JSON with `kind` and `apiVersion` in front."""
        return b'{"kind":"%b","apiVersion":"%b",%b' % (
            self.name.encode(),
            self.api_version.encode(),
            body[1:],
        )


NAMESPACE = Kind(
    name="Namespace",
    plural="namespaces",
    short_names=("ns",),
    namespaced=False,
    status=True,
    status_reset=True,
    fields=("status.phase",),
    check_name=check_label,
)
NODE = Kind(
    name="Node",
    plural="nodes",
    short_names=("no",),
    namespaced=False,
    status=True,
    merge_keys=(*MERGE_KEYS, ("spec.podCIDRs", ""), ("status.addresses", "type")),
)
SERVICE = Kind(
    name="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    status=True,
    status_reset=True,
    create_on_update=True,
    returns_deleted=True,
    fields=("spec.clusterIP", "spec.type"),
    merge_keys=(*MERGE_KEYS, ("spec.ports", "port")),
    check_name=check_label,
)
ENDPOINTS = Kind(name="Endpoints", plural="endpoints", short_names=("ep",), create_on_update=True)
ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    name="EndpointSlice",
    plural="endpointslices",
    generation=content_or_labels_differ,
)
SERVICE_CIDR = Kind(
    group="networking.k8s.io",
    name="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    status=True,
)
CONFIG_MAP = Kind(name="ConfigMap", plural="configmaps", short_names=("cm",))
SECRET = Kind(name="Secret", plural="secrets", fields=("type",))
SERVICE_ACCOUNT = Kind(name="ServiceAccount", plural="serviceaccounts", short_names=("sa",))
POD = Kind(
    name="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    status=True,
    fields=("spec.nodeName", "status.phase", "status.podIP"),
    merge_keys=(*MERGE_KEYS, ("spec.containers", "name"), ("spec.volumes", "name")),
)
EVENT = Kind(
    name="Event",
    plural="events",
    short_names=("ev",),
    create_on_update=True,
    fields=(
        *(f"involvedObject.{f}" for f in ("kind", "namespace", "name", "uid", "apiVersion")),
        *("reason", "type", "reportingComponent", "source"),
    ),
)
EVENT_V1 = Kind(
    group="events.k8s.io",
    name="Event",
    plural="events",
    create_on_update=True,
    fields=("reason", "type"),
)
LEASE = Kind(
    group="coordination.k8s.io",
    name="Lease",
    plural="leases",
    unconditional_update=False,
    create_on_update=True,
)
CUSTOM_RESOURCE_DEFINITION = Kind(
    group="apiextensions.k8s.io",
    name="CustomResourceDefinition",
    plural="customresourcedefinitions",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    namespaced=False,
    status=True,
    status_reset=True,
    generation=content_differs,
    unconditional_update=False,
    returns_deleted=True,
)

BUILT_IN = (
    *(NAMESPACE, NODE, SERVICE, ENDPOINTS, ENDPOINT_SLICE, SERVICE_CIDR),
    *(CONFIG_MAP, SECRET, SERVICE_ACCOUNT, POD, EVENT, LEASE),
    CUSTOM_RESOURCE_DEFINITION,
)
