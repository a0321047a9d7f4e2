"""Joined clusters for the end-to-end tests: real API servers, a real bus, all programs."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import AlreadyExists, NotFound
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    NAMESPACES,
    NODES,
    SERVICES,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    KubeObject,
    Namespace,
    Node,
    NodeSpec,
    ObjectMeta,
    Port,
    Service,
    ServiceSpec,
)
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.marks import EXPORT_LABEL, SERVICE_NAME_LABEL
from heliograph.run.joined import Joined, Programs, embedded_bus, run_joined

R = TypeVar("R")
_WAIT_S = 30.0


class Cluster:
    """One joined cluster, as a person with kubectl sees and changes it, in one namespace."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def service(self, name: str) -> Service | None:
        """Return a Service."""
        try:
            return await self.client.get(SERVICES, self.namespace, name)
        except NotFound:
            return None

    async def slices(self, name: str) -> list[EndpointSlice]:
        """Return the EndpointSlices of a Service, by name."""
        selector = f"{SERVICE_NAME_LABEL}={name}"
        listing = await self.client.list(
            ENDPOINT_SLICES, Selection(namespace=self.namespace, labels=selector)
        )
        return sorted(listing.items, key=lambda item: item.metadata.name)

    async def addresses(self, name: str) -> list[str]:
        """Return all addresses of a Service, sorted."""
        return sorted(
            address
            for item in await self.slices(name)
            for endpoint in item.endpoints or ()
            for address in endpoint.addresses
        )

    async def add_service(self, name: str, spec: ServiceSpec, *, exported: bool = True) -> Service:
        """Create a Service."""
        labels = {EXPORT_LABEL: "true"} if exported else {}
        metadata = ObjectMeta(name=name, namespace=self.namespace, labels=labels)
        return await self.client.create(SERVICES, Service(metadata=metadata, spec=spec))

    async def patch_service(self, name: str, patch: Mapping[str, object]) -> Service:
        """Change a Service with a merge patch."""
        return await self.client.merge_patch(SERVICES, self.namespace, name, patch)

    async def delete_service(self, name: str) -> None:
        """Delete a Service, whatever its version."""
        await self.client.delete(SERVICES, ObjectMeta(name=name, namespace=self.namespace))

    async def clear(self) -> None:
        """Delete what a test has left, so that no later one counts it."""
        here = Selection(namespace=self.namespace)
        for resource in (SERVICES, ENDPOINT_SLICES):
            for item in (await self.client.list(resource, here)).items:
                with suppress(NotFound):  # a controller was faster
                    await self.client.delete(resource, named(item))

    async def add_slice(
        self, service: str, backends: Mapping[str, str | None], *, suffix: str = "1", port: int = 80
    ) -> EndpointSlice:
        """Create a slice of ready backends, hostname by address, as a controller would."""
        item = EndpointSlice(
            metadata=ObjectMeta(
                name=f"{service}-{suffix}",
                namespace=self.namespace,
                labels={SERVICE_NAME_LABEL: service},
            ),
            address_type="IPv6" if any(":" in address for address in backends) else "IPv4",
            endpoints=tuple(
                Endpoint(
                    addresses=(address,),
                    hostname=hostname,
                    conditions=EndpointConditions(ready=True, serving=True, terminating=False),
                )
                for address, hostname in backends.items()
            ),
            ports=(Port(name="http", port=port),),
        )
        return await self.client.create(ENDPOINT_SLICES, item)


class JoinedClusters(msgspec.Struct, frozen=True, kw_only=True):
    """All of them.

    Attributes:
        clusters: By id.
        programs: By id.
        url: The bus.
    """

    clusters: Mapping[str, Cluster]
    programs: Mapping[ClusterId, Programs]
    url: str


@asynccontextmanager
async def join(
    accesses: Mapping[str, ClusterAccess],
    *names: str,
    create_namespaces: bool = False,
    by: Mapping[str, ClusterAccess] | None = None,
) -> AsyncIterator[JoinedClusters]:
    """Join the clusters, each with a new namespace of one name, until the body ends.

    Args:
        accesses: How to reach the clusters.
        names: Which of them.
        create_namespaces: A setting of the reflectors.
        by: How the programs reach some of them, if not as the test does.
    """
    async with prepared(accesses, *names, by=by) as (clusters, plain):
        joined = msgspec.structs.replace(plain, create_namespaces=create_namespaces)
        async with running(joined) as programs:
            (url,) = set(joined.buses.values())
            yield JoinedClusters(clusters=clusters, programs=programs, url=url)


@asynccontextmanager
async def prepared(
    accesses: Mapping[str, ClusterAccess],
    *names: str,
    by: Mapping[str, ClusterAccess] | None = None,
) -> AsyncIterator[tuple[Mapping[str, Cluster], Joined]]:
    """Prepare clusters as `join` does; what is given with them is run as often as one likes."""
    namespace = f"test-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways = {**accesses, **(by or {})}
        write_kubeconfig(folder / "kubeconfig", [accesses[name] for name in names])
        write_kubeconfig(folder / "programs", [ways[name] for name in names])
        access = {ClusterId(n): Kubeconfig(path=folder / "kubeconfig", context=n) for n in names}
        programs_access = {
            ClusterId(n): Kubeconfig(path=folder / "programs", context=n) for n in names
        }
        url = await stack.enter_async_context(embedded_bus())
        clusters = {}
        for name, kubeconfig in access.items():
            client = KubeClient(name, kubeconfig, field_manager="kubectl")
            clusters[str(name)] = Cluster(await stack.enter_async_context(client), namespace)
        for cluster in clusters.values():
            await add_namespace(cluster)
        try:
            yield clusters, Joined(clusters=programs_access, buses=dict.fromkeys(access, url))
        finally:
            for cluster in clusters.values():
                await cluster.clear()


@asynccontextmanager
async def running(joined: Joined) -> AsyncIterator[Mapping[ClusterId, Programs]]:
    """Run all programs beside the body, once they are ready."""
    started: asyncio.Future[Mapping[ClusterId, Programs]] = asyncio.Future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run_joined(joined, started.set_result))
        try:
            programs = await started
            await eventually(lambda: all(one.ready for one in programs.values()))
            yield programs
        finally:
            task.cancel()


def named(obj: KubeObject) -> ObjectMeta:
    """Return the name of an object, whatever its version."""
    return ObjectMeta(name=obj.metadata.name, namespace=obj.metadata.namespace)


async def add_namespace(cluster: Cluster) -> None:
    """Create the cluster's namespace."""
    namespace = Namespace(metadata=ObjectMeta(name=cluster.namespace))
    await cluster.client.create(NAMESPACES, namespace)


async def remove_namespace(cluster: Cluster, name: str) -> None:
    """Delete a namespace and wait until it is gone: the next test may want it again."""
    with suppress(NotFound):
        await cluster.client.delete(NAMESPACES, ObjectMeta(name=name))

    async def gone() -> bool:
        names = {n.metadata.name for n in (await cluster.client.list(NAMESPACES)).items}
        return name not in names

    await eventually(gone, within_s=60)


async def ensure_node(client: KubeClient, name: str, pod_cidr: str) -> None:
    """Make sure that the cluster has a node with this pod range."""
    node = Node(
        metadata=ObjectMeta(name=name), spec=NodeSpec(pod_cidr=pod_cidr, pod_cidrs=(pod_cidr,))
    )
    with suppress(AlreadyExists):
        await client.create(NODES, node)


async def eventually(condition: Callable[[], R | Awaitable[R]], *, within_s: float = _WAIT_S) -> R:
    """Wait until the condition holds; return what it gave."""
    last: object = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                outcome = condition()
                last = await outcome if isinstance(outcome, Awaitable) else outcome
                if last:
                    return last  # type: ignore[return-value]
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not seen within {within_s:.0f} s; last: {last!r}") from None


async def holds(condition: Callable[[], Awaitable[bool]], *, for_s: float = 1.0) -> bool:
    """Tell whether the condition holds all the time for so long: for what must never happen."""
    loop = asyncio.get_running_loop()
    until = loop.time() + for_s
    while loop.time() < until:
        if not await condition():
            return False
        await asyncio.sleep(0.05)
    return True
