"""Several clusters at once, in memory or real, with ranges that do not overlap.

All of them know Kilo's Peer, as clusters do in which Kilo runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from heliograph.bus.background import alongside
from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.controlplane import ControlPlane, ControlPlaneSettings, ensure_built
from heliograph.lab.kilo import (
    KiloNodes,
    install_peer_crd,
    kilo_nodes,
    kilo_subnet,
    peer_crd,
)
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.progress import Progress, Step

_NAMES: Final = ("east", "west", "south", "north")
_MOST: Final = 250
_RANGES: Final = ipaddress.ip_network("10.96.0.0/11")
_ADDRESSES_EACH: Final = 2**13
"""Nothing is ever sent there: cluster IPs exist inside a cluster only, and these have no nodes."""

_YOUNG_KIND_S: Final = 2.0
"""A real API server delays creations of a kind by so long, for as long after the kind is new.

Source: apiextensions-apiserver, pkg/apiserver/customresource_handler.go.
"""


def cluster_names(count: int) -> tuple[str, ...]:
    """Return so many ids: east, west, south, north, then c5, c6 and so on.

    Raises:
        InputError: Too few, or too many.
    """
    if not 1 <= count <= _MOST:
        raise InputError(f"--clusters {count} cannot be: give a number from 1 to {_MOST}")
    return tuple(_NAMES[n] if n < len(_NAMES) else f"c{n + 1}" for n in range(count))


def service_cidr(number: int) -> str:
    """Return the service CIDR of the cluster of this number, counted from 0."""
    first = int(_RANGES.network_address) + number * _ADDRESSES_EACH
    return f"{ipaddress.ip_address(first)}/19"


@asynccontextmanager
async def memory_clusters(count: int) -> AsyncIterator[tuple[ClusterAccess, ...]]:
    """Run so many clusters in memory."""
    async with AsyncExitStack() as stack:
        accesses = []
        for number, name in enumerate(cluster_names(count)):
            settings = MemoryClusterSettings(name=name, service_cidrs=(service_cidr(number),))
            cluster = await stack.enter_async_context(MemoryCluster(settings))
            cluster.apply(peer_crd())
            accesses.append(cluster.access)
        yield tuple(accesses)


@asynccontextmanager
async def real_clusters(count: int, progress: Progress) -> AsyncIterator[tuple[ClusterAccess, ...]]:
    """Run so many real control planes; builds them first where that is still to be done."""
    names = cluster_names(count)
    binary = await ensure_built(progress)
    progress(Step(f"starting {count} control planes"))
    with tempfile.TemporaryDirectory(prefix="heliograph-lab-") as folder:
        async with AsyncExitStack() as stack:
            planes = [
                ControlPlane(
                    ControlPlaneSettings(name=name, service_cidrs=(service_cidr(number),)),
                    binary=binary,
                    folder=Path(folder) / name,
                )
                for number, name in enumerate(names)
            ]
            for plane in planes:
                stack.push_async_exit(plane)
            await asyncio.gather(*(asyncio.to_thread(plane.start) for plane in planes))
            accesses = tuple(plane.access for plane in planes)
            await _install(accesses, Path(folder) / "kubeconfig")
            yield accesses


async def _install(accesses: tuple[ClusterAccess, ...], kubeconfig: Path) -> None:
    write_kubeconfig(kubeconfig, accesses)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                KubeClient(access.name, Kubeconfig(path=kubeconfig, context=access.name))
            )
            for access in accesses
        ]
        await asyncio.gather(*map(install_peer_crd, clients))
    await asyncio.sleep(_YOUNG_KIND_S)  # or else the first Peers seem slow


@asynccontextmanager
async def nodes_with_kilo(kubeconfig: Path, count: int, nodes: int) -> AsyncIterator[None]:
    """Give each of so many clusters (as they are named here) nodes whose hearts beat.

    Args:
        kubeconfig: It has a context for each cluster.
        count: How many clusters.
        nodes: How many nodes each is given.
    """
    async with AsyncExitStack() as stack:
        for number, name in enumerate(cluster_names(count)):
            access = Kubeconfig(path=kubeconfig, context=name)
            client = await stack.enter_async_context(KubeClient(name, access, field_manager="kg"))
            kilo = KiloNodes(client, subnet=kilo_subnet(number))
            await kilo.add(*kilo_nodes(number, nodes))
            await stack.enter_async_context(alongside(kilo.beat()))
        yield
