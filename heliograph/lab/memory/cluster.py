"""The state of one cluster without any network: what is served, and what is there at the start."""

from __future__ import annotations

import ipaddress
import uuid
from datetime import UTC, datetime
from functools import partial

from heliograph.lab.memory.addresses import AddressPool, PortPool
from heliograph.lab.memory.definitions import Definitions
from heliograph.lab.memory.events import EVENT_RULES, EVENT_VIEW
from heliograph.lab.memory.incoming import Caller
from heliograph.lab.memory.kinds import BUILT_IN, EVENT_V1
from heliograph.lab.memory.namespaces import INITIAL, NAMESPACE_RULES
from heliograph.lab.memory.nodes import NODE_RULES
from heliograph.lab.memory.objects import JsonObject, Key, copied, metadata
from heliograph.lab.memory.operations import Operations
from heliograph.lab.memory.removal import DeleteOptions
from heliograph.lab.memory.resources import Resource, Resources
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.secrets import SECRET_RULES
from heliograph.lab.memory.services import ServiceRules
from heliograph.lab.memory.settings import MemoryClusterSettings
from heliograph.lab.memory.shapes import CONFIG_MAP
from heliograph.lab.memory.slices import ENDPOINTS_RULES, SLICE_RULES
from heliograph.lab.memory.store import Store

_SERVER = Caller(manager="kube-apiserver")


class ClusterState:
    """Store, resources and operations of one cluster, furnished as a new cluster is."""

    def __init__(self, settings: MemoryClusterSettings) -> None:
        self.store = Store(settings.history_limit)
        self.resources = Resources(self.store)
        clock = partial(datetime.now, UTC)
        self.operations = Operations(self.store, self.resources, clock, uuid.uuid4)
        rules = self._rules(settings)
        for kind in BUILT_IN:
            self.resources.add(kind, rules.get(kind.plural))
        self.resources.add_view(EVENT_V1, self.resources.of_kind("events"), EVENT_VIEW)
        self._furnish(settings)
        self.store.compact()  # what came before is no history: version 1 is too old, as there

    def apply(self, obj: JsonObject) -> JsonObject:
        """Create the object, or replace the one of its name; return what is stored."""
        resource = self.resources.of(obj)
        new = copied(obj)
        for member in ("resourceVersion", "uid"):  # whoever applies means it, whatever stands there
            metadata(new).pop(member, None)
        key = self._key(resource, metadata(new))
        if (stored := resource.collection.items.get(key)) is not None:
            if not resource.kind.unconditional_update:
                metadata(new)["resourceVersion"] = metadata(stored.obj)["resourceVersion"]
            item, _ = self.operations.update(resource, key, new, Caller())
        else:
            item = self.operations.create(resource, key[0], new, Caller())
        return resource.shown(item)

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return a copy of an object, None when there is none."""
        resource = self.resources.of_kind(kind)
        item = resource.collection.items.get(resource.key(namespace, name))
        return None if item is None else resource.shown(item)

    def list(self, kind: str, namespace: str | None = None) -> list[JsonObject]:
        """Return copies of all objects of a kind, or of those in one namespace."""
        resource = self.resources.of_kind(kind)
        items = resource.collection.ordered()
        found = [i for i in items if namespace in (None, i.key[0])]
        return [resource.shown(i) for i in found]

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object; raises `StatusError` 404 when there is none."""
        resource = self.resources.of_kind(kind)
        key = resource.key(namespace, name)
        self.operations.removals.delete(resource, key, DeleteOptions(), Caller())

    def _rules(self, settings: MemoryClusterSettings) -> dict[str, Rules]:
        pools = [AddressPool(cidr) for cidr in settings.service_cidrs]
        ports = PortPool(*settings.node_ports)
        return {
            "namespaces": NAMESPACE_RULES,
            "services": ServiceRules(pools, ports, self._remove_endpoints).rules(),
            "nodes": NODE_RULES,
            "endpoints": ENDPOINTS_RULES,
            "events": EVENT_RULES,
            "configmaps": Rules(shape=CONFIG_MAP),
            "secrets": SECRET_RULES,
            "endpointslices": SLICE_RULES,
            "customresourcedefinitions": Definitions(self.store, self.resources).rules(),
        }

    def _remove_endpoints(self, key: Key) -> None:
        """Delete the Endpoints of a deleted Service, as the real server does by itself."""
        endpoints = self.resources.of_kind("endpoints")
        if key in endpoints.collection.items:
            self.operations.removals.delete(endpoints, key, DeleteOptions(), _SERVER)

    def _furnish(self, settings: MemoryClusterSettings) -> None:
        for name in INITIAL:
            self._create("Namespace", {"metadata": {"name": name}})
        cidrs = [str(ipaddress.ip_network(cidr)) for cidr in settings.service_cidrs]
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "",
            "message": "Kubernetes default Service CIDR is ready",
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self._create(
            "ServiceCIDR",
            {
                "metadata": {"name": "kubernetes"},
                "spec": {"cidrs": cidrs},
                "status": {"conditions": [ready]},
            },
        )
        self._create("Service", _kubernetes_service(cidrs[0]))

    def _create(self, kind: str, obj: JsonObject) -> None:
        resource = self.resources.of_kind(kind)
        self.operations.create(resource, metadata(obj).get("namespace", ""), obj, _SERVER)

    @staticmethod
    def _key(resource: Resource, meta: JsonObject) -> Key:
        namespace = meta.setdefault("namespace", "default") if resource.kind.namespaced else ""
        return (namespace, meta.get("name", ""))


def _kubernetes_service(primary_cidr: str) -> JsonObject:
    address = str(ipaddress.ip_network(primary_cidr)[1])
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}
    meta = {"name": "kubernetes", "namespace": "default", "labels": labels}
    return {"metadata": meta, "spec": {"clusterIP": address, "ports": [port]}}
