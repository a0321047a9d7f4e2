"""API servers in memory, and clients of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import NODES, SERVICES, Node, Service
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from tests.support.builders import as_json


@contextlib.asynccontextmanager
async def memory_cluster(name: str = "east", **settings: Any) -> AsyncIterator[MemoryCluster]:  # noqa: ANN401
    """Run an API server that has the namespace "shop"."""
    async with MemoryCluster(MemoryClusterSettings(name=name, **settings)) as cluster:
        cluster.apply(namespace("shop"))
        yield cluster


@contextlib.asynccontextmanager
async def client_of(access: ClusterAccess, folder: Path) -> AsyncIterator[KubeClient]:
    """Open a client with a kubeconfig file in `folder`."""
    path = folder / f"{access.name}.kubeconfig"
    write_kubeconfig(path, [access])
    async with KubeClient(access.name, Kubeconfig(path=path)) as client:
        yield client


def namespace(name: str) -> dict[str, Any]:
    """Return a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service_json(service: Service) -> dict[str, Any]:
    """Return a Service as people write it: the API server gives it identity and addresses."""
    made = as_json(SERVICES, service)
    for given in ("uid", "creationTimestamp"):
        made["metadata"].pop(given, None)
    for chosen in ("clusterIP", "clusterIPs", "ipFamilies"):
        if made["spec"].get(chosen) not in ("None", ["None"]):
            made["spec"].pop(chosen, None)
    return made


def node_json(node: Node) -> dict[str, Any]:
    """Return a Node."""
    return as_json(NODES, node)
