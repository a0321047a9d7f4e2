"""What a Service must not be: the checks of the real server that a mirror may meet. Pure.

Source: kube-apiserver's pkg/apis/core/validation (validateService), v1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from heliograph.lab.memory.families import check_change, check_related, is_headless
from heliograph.lab.memory.ip_checks import check_ip
from heliograph.lab.memory.names import (
    check_label,
    check_labels,
    check_port_name,
    check_qualified_name,
    check_subdomain,
)
from heliograph.lab.memory.objects import JsonObject, field_of
from heliograph.lab.memory.status import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITY = ("ClientIP", "None")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_MAX_AFFINITY_S = 86_400
_MAX_PORT = 65_535


def check_service(spec: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Say what is wrong with a completed Service spec; `old` is the stored one in an update."""
    changed = check_change(spec, old) if old is not None else []
    checks = (_check_type, _check_ports, _check_affinity, _check_policies, _check_external_ips)
    return [*changed, *chain.from_iterable(check(spec) for check in checks)]


def check_port_number(field: str, port: object) -> list[Cause]:
    """Say what keeps `port` from being a port number."""
    if isinstance(port, int) and 0 < port <= _MAX_PORT:
        return []
    return [invalid(field, port, "must be between 1 and 65535, inclusive")]


def _check_type(spec: JsonObject) -> Iterator[Cause]:
    kind = spec["type"]
    if kind not in _TYPES:
        yield not_supported("spec.type", kind, _TYPES)
    if not spec.get("ports") and not is_headless(spec) and kind != "ExternalName":
        yield required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        why = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", "None", why)
    if kind == "ExternalName":
        yield from _check_external_name(spec)
    else:
        yield from check_related(spec)


def _check_external_name(spec: JsonObject) -> Iterator[Cause]:
    for member in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(member):
            yield forbidden(f"spec.{member}", "may not be set for ExternalName services")
    name = spec.get("externalName", "").removesuffix(".")
    if name:
        yield from check_subdomain("spec.externalName", name)
    else:
        yield required("spec.externalName")


def _check_ports(spec: JsonObject) -> Iterator[Cause]:
    ports = spec.get("ports", [])
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        yield from _check_port_name(field, port, ports[:index], named=len(ports) > 1)
        yield from _check_port(field, port)
        yield from _check_unique(field, port, ports[:index])
        if spec["type"] == "ClusterIP" and port.get("nodePort"):
            why = "may not be used when `type` is 'ClusterIP'"
            yield forbidden(f"{field}.nodePort", why)
    yield from check_labels("spec.selector", spec.get("selector", {}))


def _check_port_name(
    field: str, port: JsonObject, earlier: list[JsonObject], *, named: bool
) -> Iterator[Cause]:
    name = port.get("name", "")
    if not name:
        if named:
            yield required(f"{field}.name")
        return
    yield from check_label(f"{field}.name", name)
    if any(name == other.get("name") for other in earlier):
        yield duplicate(f"{field}.name", name)


def _check_port(field: str, port: JsonObject) -> Iterator[Cause]:
    yield from check_port_number(f"{field}.port", port.get("port", 0))
    yield from check_protocol(f"{field}.protocol", port["protocol"])
    target = port["targetPort"]
    check: Callable[..., list[Cause]] = (
        check_port_name if isinstance(target, str) else check_port_number
    )
    yield from check(f"{field}.targetPort", target)
    if "appProtocol" in port:
        yield from check_qualified_name(f"{field}.appProtocol", port["appProtocol"])


def check_protocol(field: str, protocol: str) -> list[Cause]:
    """Say what keeps `protocol` from being one that ports may have."""
    return [] if protocol in PROTOCOLS else [not_supported(field, protocol, PROTOCOLS)]


def _check_unique(field: str, port: JsonObject, earlier: list[JsonObject]) -> Iterator[Cause]:
    same = [other for other in earlier if other["protocol"] == port["protocol"]]
    if any(other.get("port") == port.get("port") for other in same):
        key = {"Name": "", "Protocol": port["protocol"], "AppProtocol": None}
        yield duplicate(field, key | {"Port": port.get("port"), "TargetPort": 0, "NodePort": 0})


def _check_affinity(spec: JsonObject) -> Iterator[Cause]:
    affinity, config = spec["sessionAffinity"], spec.get("sessionAffinityConfig")
    if affinity not in _AFFINITY:
        yield not_supported("spec.sessionAffinity", affinity, _AFFINITY)
    if affinity == "ClientIP":
        seconds = field_of(config or {}, "clientIP.timeoutSeconds")
        if not isinstance(seconds, int) or not 0 < seconds <= _MAX_AFFINITY_S:
            field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid(field, seconds, "must be greater than 0 and less than 86400")


def _check_policies(spec: JsonObject) -> Iterator[Cause]:
    yield from _check_external_policy(spec)
    internal = spec.get("internalTrafficPolicy")
    if internal not in (None, *_POLICIES):
        yield not_supported("spec.internalTrafficPolicy", internal, _POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution not in (None, *_DISTRIBUTIONS):
        yield not_supported("spec.trafficDistribution", distribution, _DISTRIBUTIONS)
    yield from _check_load_balancer(spec)


def _check_external_policy(spec: JsonObject) -> Iterator[Cause]:
    policy = spec.get("externalTrafficPolicy")
    if policy is None:
        return
    if not externally_accessible(spec):
        why = "may only be set for externally-accessible services"
        yield invalid("spec.externalTrafficPolicy", policy, why)
    elif policy not in _POLICIES:
        yield not_supported("spec.externalTrafficPolicy", policy, _POLICIES)


def _check_load_balancer(spec: JsonObject) -> Iterator[Cause]:
    if spec["type"] == "LoadBalancer":
        return
    for member in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if member in spec:
            yield forbidden(f"spec.{member}", "may only be used when `type` is 'LoadBalancer'")


def _check_external_ips(spec: JsonObject) -> Iterator[Cause]:
    for index, address in enumerate(spec.get("externalIPs", [])):
        yield from check_ip(f"spec.externalIPs[{index}]", address)


def externally_accessible(spec: JsonObject) -> bool:
    """Whether traffic may reach the Service from outside the cluster."""
    outside = spec["type"] in ("LoadBalancer", "NodePort")
    return outside or (spec["type"] == "ClusterIP" and bool(spec.get("externalIPs")))
