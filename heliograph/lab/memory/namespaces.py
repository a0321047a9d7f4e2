"""Namespaces: what they are given, and when they let objects in. Pure."""

from __future__ import annotations

from heliograph.lab.memory.objects import JsonObject, field_of, metadata
from heliograph.lab.memory.resources import Resource
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.status import Cause, forbidden_request

NAME_LABEL = "kubernetes.io/metadata.name"
IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
INITIAL = ("default", "kube-node-lease", "kube-public", "kube-system")


def admit_namespace(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Complete a namespace: phase, finalizers (which change by `/finalize` only), name label."""
    meta = metadata(new)
    meta.setdefault("labels", {})[NAME_LABEL] = meta.get("name", "")
    spec = new.setdefault("spec", {})
    if old is not None:
        spec["finalizers"] = field_of(old, "spec.finalizers") or []
    elif "kubernetes" not in (finalizers := spec.setdefault("finalizers", [])):
        finalizers.append("kubernetes")
    new.setdefault("status", {"phase": "Active"})
    return []


NAMESPACE_RULES = Rules(admit=admit_namespace)


def require_open(namespaces: Resource, namespace: str, resource: str, name: str) -> None:
    """Raise `StatusError` 404 or 403 unless objects may be created in the namespace."""
    found = namespaces.require(("", namespace))
    if not is_terminating(found.obj):
        return
    cause = Cause(
        reason="NamespaceTerminating",
        message=f"namespace {namespace} is being terminated",
        field="metadata.namespace",
    )
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    raise forbidden_request(resource, name, why, [cause])


def is_terminating(namespace: JsonObject) -> bool:
    """Whether the namespace is on its way out."""
    return field_of(namespace, "status.phase") == "Terminating"


def terminating(namespace: JsonObject) -> None:
    """Turn the (marked) namespace to its terminating phase, in place."""
    namespace.setdefault("status", {})["phase"] = "Terminating"


def held_by_others(namespace: JsonObject) -> bool:
    """Whether someone beside the server keeps the namespace from going: a foreign finalizer."""
    in_spec = field_of(namespace, "spec.finalizers") or []
    return bool(set(in_spec) - {"kubernetes"} or metadata(namespace).get("finalizers"))  # type: ignore[call-overload]
