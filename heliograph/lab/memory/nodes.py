"""Nodes: the members that the real server shows even when nobody has set them. Pure."""

from __future__ import annotations

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.status import Cause

_NODE_INFO = (
    *("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion"),
    *("kubeletVersion", "machineID", "operatingSystem", "osImage", "systemUUID"),
)


def admit_node(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Complete a node's spec and status."""
    del old
    new.setdefault("spec", {})
    status: JsonObject = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {}}
    status |= new.get("status") or {}
    status["nodeInfo"] = dict.fromkeys(_NODE_INFO, "") | status["nodeInfo"]
    new["status"] = status
    return []


NODE_RULES = Rules(admit=admit_node)
