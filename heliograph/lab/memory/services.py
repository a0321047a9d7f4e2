"""Services: what the server fills in, gives out and takes back. Pure.

Source: kube-apiserver's pkg/apis/core/v1/defaults.go and registry/core/service, v1.36.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heliograph.lab.memory.addresses import (
    ALREADY_ALLOCATED,
    AddressPool,
    PortPool,
    family_of,
)
from heliograph.lab.memory.families import (
    HEADLESS,
    align_plural,
    is_headless,
    keep_allocated,
    settle_families,
)
from heliograph.lab.memory.objects import JsonObject, Key, drop_empty, field_of, metadata
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.service_checks import check_service, externally_accessible
from heliograph.lab.memory.shapes import SERVICE
from heliograph.lab.memory.status import Cause, invalid

_AFFINITY_S = 10_800
_EMPTY_IS_ABSENT = (
    *("ports", "selector", "clusterIP", "clusterIPs", "ipFamilies", "externalIPs", "externalName"),
    *("type", "sessionAffinity", "externalTrafficPolicy", "loadBalancerIP"),
    "loadBalancerSourceRanges",
)


class ServiceRules:
    """Defaults, addresses, node ports and checks of Services.

    Args:
        pools: One pool per address family, the primary one first.
        ports: The node ports.
        removed: Called with the key of every deleted Service (its Endpoints go with it).
    """

    def __init__(
        self, pools: list[AddressPool], ports: PortPool, removed: Callable[[Key], None]
    ) -> None:
        self._pools = {pool.family: pool for pool in pools}
        self._ports = ports
        self._removed = removed

    def rules(self) -> Rules:
        """Return what the server is to call."""
        return Rules(admit=self.admit, settle=self.settle, shape=SERVICE)

    def admit(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Complete the Service as the real server does; allocation errors come before others."""
        spec, before = new.setdefault("spec", {}), (old or {}).get("spec")
        new.setdefault("status", {"loadBalancer": {}})
        _fill_in(spec)
        if before is not None:
            keep_allocated(spec, before)
            _keep_node_ports(spec, before)
        align_plural(spec, before)
        if causes := self._allocate(spec, before):
            return causes
        if before is not None:
            _drop_what_the_type_lacks(spec, before)
        if spec["type"] != "LoadBalancer":
            new["status"] = {**new["status"], "loadBalancer": {}}
        drop_empty(spec, *_EMPTY_IS_ABSENT)
        return check_service(spec, before)

    def settle(self, new: JsonObject | None, old: JsonObject | None) -> None:
        """Take what the stored Service holds, give back what the former one held alone."""
        for address in _addresses(old) - _addresses(new):
            self._pools[family_of(address)].release(address)
        for address in _addresses(new):
            self._pools[family_of(address)].take(address)
        for port in _node_ports(old) - _node_ports(new):
            self._ports.release(port)
        for port in _node_ports(new):
            self._ports.take(port)
        if new is None and old is not None:
            meta = metadata(old)
            self._removed((meta["namespace"], meta["name"]))

    def _allocate(self, spec: JsonObject, old: JsonObject | None) -> list[Cause]:
        causes = settle_families(spec, old, list(self._pools))
        if causes or spec["type"] == "ExternalName":
            return causes
        causes = [] if is_headless(spec) else self._allocate_addresses(spec, old)
        return causes or self._allocate_ports(spec, old)

    def _allocate_addresses(self, spec: JsonObject, old: JsonObject | None) -> list[Cause]:
        held = set((old or {}).get("clusterIPs", []))
        asked = list(spec.get("clusterIPs", []))
        families = spec.get("ipFamilies", [])
        given: list[str] = []
        for family, address in zip(families, asked + [""] * len(families), strict=False):
            pool = self._pools[family]
            why = pool.refusal(address) if address and address not in held else None
            chosen = address or pool.free()
            if why or chosen is None:
                why = why or "failed to allocate IP: range is full"
                return [invalid("spec.clusterIPs", asked, why)]
            given.append(chosen)
        if old is None or not old.get("clusterIPs") or len(given) > len(asked):
            spec["clusterIPs"] = given
            spec["clusterIP"] = given[0]
        return []

    def _allocate_ports(self, spec: JsonObject, old: JsonObject | None) -> list[Cause]:
        if spec["type"] not in ("NodePort", "LoadBalancer"):
            return []
        held = _ports_of(old or {})
        chosen: dict[int, int] = {}
        for index, port in enumerate(spec.get("ports", [])):
            wanted = port.get("nodePort", 0)
            if not wanted and spec.get("allocateLoadBalancerNodePorts", True):
                wanted = chosen.get(port.get("port")) or self._ports.free(set(chosen.values()))
                port["nodePort"] = wanted
            why = self._ports.refusal(wanted) if wanted and wanted not in held else None
            if wanted in chosen.values() and wanted != chosen.get(port.get("port")):
                why = ALREADY_ALLOCATED
            if why:
                return [invalid(f"spec.ports[{index}].nodePort", wanted, why)]
            chosen[port.get("port")] = wanted
        self._give_health_check_port(spec, set(chosen.values()))
        return []

    def _give_health_check_port(self, spec: JsonObject, chosen: set[int]) -> None:
        if spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
            spec["healthCheckNodePort"] = spec.get("healthCheckNodePort") or self._ports.free(
                chosen
            )


def _fill_in(spec: JsonObject) -> None:
    drop_empty(spec, "type", "sessionAffinity", "externalTrafficPolicy")
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    _fill_in_affinity(spec)
    for port in spec.get("ports", []):
        _fill_in_port(port)
    if externally_accessible(spec):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "ExternalName":
        spec.pop("internalTrafficPolicy", None)  # dropped on reading by the real server
    else:
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _fill_in_affinity(spec: JsonObject) -> None:
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.get("sessionAffinityConfig", {})
        if field_of(config, "clientIP.timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_S}}


def _fill_in_port(port: JsonObject) -> None:
    drop_empty(port, "name", "protocol", "targetPort")
    port.setdefault("protocol", "TCP")
    if port.get("targetPort", 0) == 0:
        port["targetPort"] = port.get("port", 0)
    if port.get("nodePort") == 0:
        del port["nodePort"]


def _keep_node_ports(spec: JsonObject, old: JsonObject) -> None:
    """Carry node ports over to ports of the same name that an update leaves without one."""
    outside = ("NodePort", "LoadBalancer")
    if spec["type"] not in outside or old["type"] not in outside:
        return
    by_name = {p.get("name", ""): p.get("nodePort") for p in old.get("ports", [])}
    used = _ports_of(old) & _ports_of(spec)
    for port in spec.get("ports", []):
        before = by_name.get(port.get("name", ""))
        if not port.get("nodePort") and before and before not in used:
            port["nodePort"] = before


def _drop_what_the_type_lacks(spec: JsonObject, old: JsonObject) -> None:
    """Clear what a change of type makes void, unless the same update changed it as well."""
    if spec["type"] == old["type"]:
        return
    if spec["type"] == "ExternalName":
        _drop_same(spec, old, "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    if spec["type"] in ("ExternalName", "ClusterIP") and _ports_of(spec) <= _ports_of(old):
        for port in spec.get("ports", []):
            port.pop("nodePort", None)
    if spec["type"] != "LoadBalancer":
        _drop_same(spec, old, "allocateLoadBalancerNodePorts", "loadBalancerClass")
        _drop_same(spec, old, "healthCheckNodePort")
    if not externally_accessible(spec):
        _drop_same(spec, old, "externalTrafficPolicy")


def _drop_same(spec: JsonObject, old: JsonObject, *members: str) -> None:
    for member in members:
        if spec.get(member) == old.get(member):
            spec.pop(member, None)


def _addresses(service: JsonObject | None) -> set[str]:
    plural: list[str] = field_of(service or {}, "spec.clusterIPs") or []  # type: ignore[assignment]
    return set(plural) - {HEADLESS}


def _node_ports(service: JsonObject | None) -> set[int]:
    spec: dict[str, Any] = (service or {}).get("spec", {})
    return _ports_of(spec) | (
        {spec["healthCheckNodePort"]} if spec.get("healthCheckNodePort") else set()
    )


def _ports_of(spec: JsonObject) -> set[int]:
    return {p["nodePort"] for p in spec.get("ports", []) if p.get("nodePort")}
