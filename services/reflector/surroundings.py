"""What mirrors need around them in the importing cluster: namespaces, IP families. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from heliograph.kube.objects import Namespace, ServiceCIDR
from heliograph.marks import is_ours

NamespaceState = Literal["Active", "Terminating", "Missing"]


class OwnNamespaces:
    """The namespaces of the importing cluster."""

    def __init__(self) -> None:
        self._namespaces: dict[str, Namespace] = {}

    def state(self, name: str) -> NamespaceState:
        """Return whether objects can be made in a namespace, and why not."""
        return _state(self._namespaces.get(name))

    def ours(self) -> tuple[Namespace, ...]:
        """Return the namespaces that we created and that stand."""
        found = self._namespaces.values()
        return tuple(n for n in found if is_ours(n) and _state(n) == "Active")

    def list(self, namespaces: Iterable[Namespace]) -> set[str]:
        """Take a complete listing; return the names whose state changed."""
        before, self._namespaces = self._namespaces, {n.metadata.name: n for n in namespaces}
        known = {*before, *self._namespaces}
        return {name for name in known if _state(before.get(name)) != self.state(name)}

    def put(self, namespace: Namespace) -> set[str]:
        """Take a new or changed namespace; return its name if its state changed."""
        name = namespace.metadata.name
        before = self.state(name)
        self._namespaces[name] = namespace
        return {name} if before != self.state(name) else set()

    def drop(self, namespace: Namespace) -> set[str]:
        """Take the deletion of a namespace."""
        self._namespaces.pop(namespace.metadata.name, None)
        return {namespace.metadata.name}


class OwnFamilies:
    """The IP families of the importing cluster's Services, by its ServiceCIDR objects."""

    def __init__(self) -> None:
        self._cidrs: dict[str, tuple[str, ...]] = {}

    def families(self) -> frozenset[str]:
        """Return the families; empty if the cluster does not say."""
        cidrs = [cidr for cidrs in self._cidrs.values() for cidr in cidrs]
        return frozenset("IPv6" if ":" in cidr else "IPv4" for cidr in cidrs)

    def list(self, objects: Iterable[ServiceCIDR]) -> bool:
        """Take a complete listing; return whether the families changed."""
        before = self.families()
        self._cidrs = {o.metadata.name: o.spec.cidrs for o in objects}
        return before != self.families()

    def put(self, obj: ServiceCIDR) -> bool:
        """Take a new or changed ServiceCIDR; return whether the families changed."""
        before = self.families()
        self._cidrs[obj.metadata.name] = obj.spec.cidrs
        return before != self.families()

    def drop(self, obj: ServiceCIDR) -> bool:
        """Take the deletion of a ServiceCIDR; return whether the families changed."""
        before = self.families()
        self._cidrs.pop(obj.metadata.name, None)
        return before != self.families()


def _state(namespace: Namespace | None) -> NamespaceState:
    if namespace is None:
        return "Missing"
    return "Terminating" if namespace.metadata.deletion_timestamp else "Active"
