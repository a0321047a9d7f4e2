"""Reads what deploy/kubernetes holds, as files; `kubectl kustomize` is not needed for that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from heliograph.kube.rights import Right

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

PLAIN = ("namespace", "heliograph", "nats")
"""What one cluster applies with `kubectl apply -f`, in this order."""

OVERLAYS = ("clusters/east", "clusters/west", "shared-bus/bus", "shared-bus/member")
"""What is applied with `kubectl apply -k`."""

Manifest = dict[str, Any]


class Granted(NamedTuple):
    """One verb on one resource; of one object, or in one namespace, only, if there is one."""

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""


def read(*folders: str) -> list[Manifest]:
    """Return the plain manifests of the folders, in the order in which kubectl reads them."""
    files = [file for folder in folders for file in sorted((KUBERNETES / folder).glob("*.yaml"))]
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text("utf-8"))]


def patches(folder: str) -> list[Manifest]:
    """Return what a Kustomization changes in other manifests."""
    path = KUBERNETES / folder
    entries = yaml.safe_load((path / "Kustomization").read_text("utf-8")).get("patches", [])
    return [
        yaml.safe_load(
            entry["patch"] if "patch" in entry else (path / entry["path"]).read_text("utf-8")
        )
        for entry in entries
    ]


def find(manifests: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """Return the one manifest of that kind and name."""
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def pod_templates(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the pod templates by the name of what makes the pods."""
    return {
        m["metadata"]["name"]: m["spec"]["template"]
        for m in manifests
        if m["kind"] in {"Deployment", "StatefulSet"}
    }


def granted(role: Manifest) -> set[Granted]:
    """Return what a ClusterRole or Role grants; only plain kinds of rules are allowed."""
    known = {"apiGroups", "resources", "verbs", "resourceNames"}
    assert all(set(rule) <= known for rule in role["rules"])
    return {
        Granted(group, resource, verb, name, role["metadata"].get("namespace", ""))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def required(rights: Iterable[Right]) -> set[Granted]:
    """Return what a program asks for."""
    return {
        Granted(right.group, right.resource, verb, right.name, right.namespace)
        for right in rights
        for verb in right.verbs
    }


def granted_to(manifests: Iterable[Manifest], *roles: str) -> set[Granted]:
    """Return what the ClusterRoles and Roles of these names grant together."""
    kinds = {"ClusterRole", "Role"}
    named = [m for m in manifests if m["kind"] in kinds and m["metadata"]["name"] in roles]
    return {right for role in named for right in granted(role)}


def containers(template: Manifest) -> Iterator[Manifest]:
    """Yield the containers of a pod template."""
    yield from template["spec"]["containers"]
    yield from template["spec"].get("initContainers", [])
