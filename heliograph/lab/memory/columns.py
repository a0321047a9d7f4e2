"""The columns that each kind shows in `kubectl get`. Pure.

Source: kube-apiserver's pkg/printers/internalversion/printers.go, v1.36.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import JsonObject, field_of, labels_of, metadata, name_of

_NONE = "<none>"
_UNKNOWN = "<unknown>"
_ROLE_PREFIX = "node-role.kubernetes.io/"
_SHOWN = 3  # values in a column before "+ 2 more..."

Cell = Callable[[JsonObject, datetime], object]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column: its title, how to compute a cell, and whether only `-o wide` shows it."""

    name: str
    cell: Cell
    type: str = "string"
    wide: bool = False

    def definition(self) -> JsonObject:
        """Return the column as tables describe it."""
        form = "name" if self.name == "Name" else ""
        described = {"name": self.name, "type": self.type, "format": form}
        return described | {"description": self.name, "priority": int(self.wide)}


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """Return the columns of a kind; name and age where it has none of its own."""
    return _COLUMNS.get("events" if kind.plural == "events" else kind.resource, (_NAME, _AGE))


def age(since: object, now: datetime) -> str:
    """Return the time since an RFC 3339 timestamp as kubectl words it: "45s", "3m10s", "5d"."""
    if not isinstance(since, str):
        return _UNKNOWN
    seconds = int((now - datetime.fromisoformat(since).astimezone(UTC)).total_seconds())
    for limit, words in _AGES:
        if seconds < limit:
            return words(max(seconds, 0))
    return f"{seconds // 31_536_000}y"


def _pair(big: int, big_unit: str, small: int, small_unit: str) -> Callable[[int], str]:
    def words(seconds: int) -> str:
        rest = seconds % big // small
        return f"{seconds // big}{big_unit}" + (f"{rest}{small_unit}" if rest else "")

    return words


_AGES: tuple[tuple[int, Callable[[int], str]], ...] = (
    (120, lambda s: f"{s}s"),
    (600, _pair(60, "m", 1, "s")),
    (10_800, lambda s: f"{s // 60}m"),
    (28_800, _pair(3600, "h", 60, "m")),
    (172_800, lambda s: f"{s // 3600}h"),
    (691_200, _pair(86_400, "d", 3600, "h")),
    (63_072_000, lambda s: f"{s // 86_400}d"),
)


def _at(path: str, default: str = _NONE) -> Cell:
    return lambda obj, _: field_of(obj, path) or default


def _joined(values: list[Any]) -> str:
    return ",".join(str(v) for v in values) or _NONE


def _service_ports(obj: JsonObject, _: datetime) -> str:
    return _joined([_service_port(p) for p in field_of(obj, "spec.ports") or []])  # type: ignore[attr-defined]


def _service_port(port: JsonObject) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port['protocol']}"


def _external_ip(obj: JsonObject, _: datetime) -> str:
    spec = obj["spec"]
    if spec["type"] == "ExternalName":
        return str(spec["externalName"])
    ingress: Any = field_of(obj, "status.loadBalancer.ingress") or []
    found = [i.get("ip") or i.get("hostname") for i in ingress] + spec.get("externalIPs", [])
    if spec["type"] == "LoadBalancer" and not found:
        return "<pending>"
    return _joined(found)


def _selector(obj: JsonObject, _: datetime) -> str:
    selector: Any = field_of(obj, "spec.selector") or {}
    return _joined([f"{k}={v}" for k, v in sorted(selector.items())])


def _slice_ports(obj: JsonObject, _: datetime) -> str:
    return _few([str(p.get("port", "*")) for p in obj["ports"] or ()], "<unset>")


def _slice_addresses(obj: JsonObject, _: datetime) -> str:
    return _few([a for e in obj["endpoints"] or () for a in e["addresses"]], "<unset>")


def _few(values: list[str], default: str) -> str:
    shown = ",".join(values[:_SHOWN])
    more = f" + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else ""
    return shown + more or default


def _endpoints(obj: JsonObject, _: datetime) -> str:
    subsets = obj.get("subsets") or []
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in subsets
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return _few(pairs, _NONE)


def _node_status(obj: JsonObject, _: datetime) -> str:
    conditions: Any = field_of(obj, "status.conditions") or []
    ready = [c["status"] for c in conditions if c["type"] == "Ready"]
    status = {"True": "Ready", "False": "NotReady"}.get(ready[0] if ready else "", "Unknown")
    return status + (",SchedulingDisabled" if field_of(obj, "spec.unschedulable") else "")


def _node_roles(obj: JsonObject, _: datetime) -> str:
    labels = sorted(labels_of(obj))
    return _joined([k.removeprefix(_ROLE_PREFIX) for k in labels if k.startswith(_ROLE_PREFIX)])


def _node_address(kind: str) -> Cell:
    def cell(obj: JsonObject, _: datetime) -> str:
        addresses: Any = field_of(obj, "status.addresses") or []
        return next((a["address"] for a in addresses if a["type"] == kind), _NONE)

    return cell


def _node_info(member: str) -> Cell:
    return _at(f"status.nodeInfo.{member}", _UNKNOWN)


def _event_object(obj: JsonObject, _: datetime) -> str:
    involved = obj.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_seen(obj: JsonObject, now: datetime) -> str:
    times = (obj.get("lastTimestamp"), obj.get("eventTime"), metadata(obj)["creationTimestamp"])
    return age(next(t for t in times if t), now)


def _cidrs(obj: JsonObject, _: datetime) -> str:
    return _joined(obj["spec"]["cidrs"])


_NAME = Column(name="Name", cell=lambda obj, _: name_of(obj))
_AGE = Column(name="Age", cell=lambda obj, now: age(metadata(obj)["creationTimestamp"], now))

_COLUMNS: dict[str, tuple[Column, ...]] = {
    "namespaces": (_NAME, Column(name="Status", cell=_at("status.phase")), _AGE),
    "nodes": (
        _NAME,
        Column(name="Status", cell=_node_status),
        Column(name="Roles", cell=_node_roles),
        _AGE,
        Column(name="Version", cell=_at("status.nodeInfo.kubeletVersion", "")),
        Column(name="Internal-IP", cell=_node_address("InternalIP"), wide=True),
        Column(name="External-IP", cell=_node_address("ExternalIP"), wide=True),
        Column(name="OS-Image", cell=_at("status.nodeInfo.osImage", _UNKNOWN), wide=True),
        Column(
            name="Kernel-Version", cell=_at("status.nodeInfo.kernelVersion", _UNKNOWN), wide=True
        ),
        Column(
            name="Container-Runtime",
            cell=_at("status.nodeInfo.containerRuntimeVersion", _UNKNOWN),
            wide=True,
        ),
    ),
    "services": (
        _NAME,
        Column(name="Type", cell=_at("spec.type")),
        Column(name="Cluster-IP", cell=_at("spec.clusterIP")),
        Column(name="External-IP", cell=_external_ip),
        Column(name="Port(s)", cell=_service_ports),
        _AGE,
        Column(name="Selector", cell=_selector, wide=True),
    ),
    "endpoints": (_NAME, Column(name="Endpoints", cell=_endpoints), _AGE),
    "endpointslices.discovery.k8s.io": (
        _NAME,
        Column(name="AddressType", cell=_at("addressType")),
        Column(name="Ports", cell=_slice_ports),
        Column(name="Endpoints", cell=_slice_addresses),
        _AGE,
    ),
    "servicecidrs.networking.k8s.io": (_NAME, Column(name="CIDRs", cell=_cidrs), _AGE),
    "configmaps": (
        _NAME,
        Column(name="Data", cell=lambda obj, _: len(obj.get("data") or {})),
        _AGE,
    ),
    "leases.coordination.k8s.io": (
        _NAME,
        Column(name="Holder", cell=_at("spec.holderIdentity", "")),
        _AGE,
    ),
    "customresourcedefinitions.apiextensions.k8s.io": (
        _NAME,
        Column(name="Created At", cell=lambda obj, _: metadata(obj)["creationTimestamp"]),
    ),
    "pods": (
        _NAME,
        Column(name="Status", cell=_at("status.phase")),
        _AGE,
        Column(name="IP", cell=_at("status.podIP"), wide=True),
        Column(name="Node", cell=_at("spec.nodeName"), wide=True),
    ),
    "events": (
        Column(name="Last Seen", cell=_event_seen),
        Column(name="Type", cell=_at("type", "")),
        Column(name="Reason", cell=_at("reason", "")),
        Column(name="Object", cell=_event_object),
        Column(name="Message", cell=lambda obj, _: str(obj.get("message", "")).strip()),
    ),
}
