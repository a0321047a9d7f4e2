"""Looks at one cluster: single objects, each with no more right than a program has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec

from heliograph.contract.messages import ClusterAnnounced
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.errors import HeliographError
from heliograph.explain.facts import API, MEMBERSHIP, PEERS, InCluster
from heliograph.kilo.peer import PEERS as KILO_PEERS
from heliograph.kilo.peer import Peer
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import Forbidden, NotFound
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    SERVICE_CIDRS,
    SERVICES,
    EndpointSlice,
    KubeObject,
    Namespace,
    Resource,
    Service,
    ServiceCIDR,
    T,
)
from heliograph.marks import MANAGED_SELECTOR, SERVICE_NAME_LABEL, SOURCE_CLUSTER_LABEL
from heliograph.membership.admissions import own_declaration
from heliograph.membership.configmap import current
from heliograph.membership.record import NAMESPACE, Membership
from services.reflector.table import ServiceKey

_LOOK_S: Final = 10.0
_UID_NAMESPACE: Final = "kube-system"
_HELD: Final = "RemovalHeld"
_EVENTS_NAMESPACE: Final = "default"
"""Where Events about what has no namespace are."""

R = TypeVar("R")


async def look(client: KubeClient, key: ServiceKey) -> InCluster:
    """Return what stands under a Service's name, and around it; it raises nothing."""
    cluster = parse_cluster_id(client.cluster)
    try:
        async with asyncio.timeout(_LOOK_S):
            return await _look(client, cluster, key)
    except TimeoutError:
        why = f"the API server of cluster {cluster} does not answer within {_LOOK_S:g} s"
    except HeliographError as error:
        why = str(error)
    return InCluster(cluster=cluster, unread={API: why})


async def _look(client: KubeClient, cluster: ClusterId, key: ServiceKey) -> InCluster:
    around = asyncio.ensure_future(_look_around(client, cluster, key))
    try:
        service, slices, namespace = await asyncio.gather(
            _service(client, key), _slices(client, key), _namespace(client, key.namespace)
        )
        return msgspec.structs.replace(
            await around, service=service, slices=slices, namespace=namespace
        )
    finally:
        around.cancel()


async def _look_around(client: KubeClient, cluster: ClusterId, key: ServiceKey) -> InCluster:
    """Return what may be missing, so that it hides nothing else."""
    unread: dict[str, str] = {}
    endpoints, cidrs, membership, uid = await asyncio.gather(
        _or(_endpoints(client, key), None, unread, "Endpoints"),
        _or(_cidrs(client), (), unread, "ranges"),
        _or(current(client, NAMESPACE), Membership(), unread, MEMBERSHIP),
        _or(_uid(client), "", unread, "kube-system"),
    )
    return InCluster(
        cluster=cluster,
        uid=uid,
        endpoints=endpoints,
        cidrs=cidrs,
        membership=membership,
        unread=unread,
    )


async def with_peers(client: KubeClient, here: InCluster, exporting: ClusterId | None) -> InCluster:
    """Return the cluster with its Peers: ours of one exporting cluster, or (None) all."""
    labels = f"{SOURCE_CLUSTER_LABEL}={exporting}" if exporting else ""
    try:
        peers = tuple((await client.list(KILO_PEERS, Selection(labels=labels))).items)
    except NotFound:
        return msgspec.structs.replace(here, peers=None)
    except HeliographError as error:
        return msgspec.structs.replace(here, unread={**here.unread, PEERS: str(error)})
    return msgspec.structs.replace(here, peers=_by_name(peers))


async def with_ranges(client: KubeClient, found: InCluster) -> InCluster:
    """Return the cluster with the ranges that its API server shows, where they can be read."""
    unread = dict(found.unread)
    own = await _or(own_declaration(client, found.cluster), None, unread, "ranges")
    if own is None:
        return msgspec.structs.replace(found, unread=unread)
    ranges = ClusterAnnounced(
        service_cidrs=own.service_cidrs, pod_cidrs=own.pod_cidrs, tunnel_cidrs=own.tunnel_cidrs
    )
    return msgspec.structs.replace(found, ranges=ranges)


async def with_held(client: KubeClient, here: InCluster, exporting: ClusterId) -> InCluster:
    """Return the cluster with what its reflector says of removals of a cluster that it holds."""
    unread = dict(here.unread)
    said = await _or(_held(client, exporting), "", unread, "Events")
    return msgspec.structs.replace(here, held={exporting: said} if said else {}, unread=unread)


async def names(client: KubeClient, namespace: str = "") -> tuple[str, ...]:
    """Return all Services, or those of a namespace, as NAMESPACE/NAME; none if not to be read."""
    found = await _or(client.list(SERVICES, Selection(namespace=namespace)), None, {}, "")
    items = found.items if found else ()
    return tuple(f"{item.metadata.namespace}/{item.metadata.name}" for item in items)


async def _held(client: KubeClient, exporting: ClusterId) -> str:
    """Return the newest Event about removals of a cluster that are held; empty if there is none."""
    events = (await client.list(EVENTS, Selection(namespace=_EVENTS_NAMESPACE))).items
    about = [e for e in events if e.reason == _HELD and e.note.startswith(f"cluster {exporting} ")]
    return max(about, key=lambda e: e.event_time or "").note if about else ""


async def _service(client: KubeClient, key: ServiceKey) -> Service | None:
    try:
        return await client.get(SERVICES, key.namespace, key.name)
    except NotFound:
        return None
    except Forbidden:  # the watcher may only list
        return await _one(client, SERVICES, Selection(namespace=key.namespace, name=key.name))


async def _slices(client: KubeClient, key: ServiceKey) -> tuple[EndpointSlice, ...]:
    selection = Selection(namespace=key.namespace, labels=f"{SERVICE_NAME_LABEL}={key.name}")
    return tuple((await client.list(ENDPOINT_SLICES, selection)).items)


async def _namespace(client: KubeClient, name: str) -> Namespace | None:
    return await _one(client, NAMESPACES, Selection(name=name))


async def _endpoints(client: KubeClient, key: ServiceKey) -> KubeObject | None:
    where = Selection(namespace=key.namespace, name=key.name, labels=MANAGED_SELECTOR)
    return await _one(client, ENDPOINTS, where)


async def _cidrs(client: KubeClient) -> tuple[ServiceCIDR, ...]:
    try:
        return tuple((await client.list(SERVICE_CIDRS)).items)
    except NotFound:
        return ()


async def _uid(client: KubeClient) -> str:
    found = await _one(client, NAMESPACES, Selection(name=_UID_NAMESPACE))
    return found.metadata.uid if found else ""


async def _one(client: KubeClient, resource: Resource[T], where: Selection) -> T | None:
    """Return one object by its name: by a list, which every program may."""
    return next(iter((await client.list(resource, where)).items), None)


async def _or(reading: Awaitable[R], default: R, unread: dict[str, str], what: str) -> R:
    """Return what is read; the default if it cannot be, with the reason."""
    try:
        return await reading
    except HeliographError as error:
        unread[what] = str(error)
        return default


def _by_name(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    return tuple(sorted(peers, key=lambda peer: peer.metadata.name))
