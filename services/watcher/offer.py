"""All that a cluster offers at one moment, read from its API server: no bus, nothing written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import msgspec

from heliograph.contract.messages import ClusterAnnounced, ClusterWithdrawn, Message
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.subjects import Kind, Subject
from heliograph.kube.client import KubeClient
from heliograph.membership.configmap import current
from heliograph.ranges import join_ranges
from heliograph.version import VERSION
from services.watcher.announce import Announcement, NotExported, announce_service
from services.watcher.identity import cluster_uid
from services.watcher.settings import WatcherSettings
from services.watcher.table import ServiceKey
from services.watcher.watch import ClusterTables


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """A Service that carries the label, and is not exported all the same."""

    key: ServiceKey
    why: NotExported


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster's stream should hold.

    Attributes:
        cluster: Its id.
        announced: Its own message, without digests; a withdrawal once it has left the ClusterSet.
        messages: What is published of its Services and nodes, by subject.
        withheld: The Services that carry the label in vain.
    """

    cluster: ClusterId
    announced: ClusterAnnounced | ClusterWithdrawn
    messages: Mapping[Subject, Message] = {}
    withheld: tuple[Withheld, ...] = ()


async def read_offer(settings: WatcherSettings, client: KubeClient) -> Offer:
    """Return what the watcher would publish of the cluster as it is now."""
    cluster = parse_cluster_id(settings.cluster)
    tables = await listed_tables(settings, client)
    if (await current(client, settings.namespace)).left:
        return Offer(cluster=cluster, announced=ClusterWithdrawn())
    messages: dict[Subject, Message] = {}
    withheld: list[Withheld] = []
    for result in announcements(cluster, tables):
        if isinstance(result, Withheld):
            withheld.append(result)
        else:
            messages |= result
    return Offer(
        cluster=cluster,
        announced=announce_cluster(settings, await cluster_uid(client), tables),
        messages=messages,
        withheld=tuple(withheld),
    )


async def listed_tables(settings: WatcherSettings, client: KubeClient) -> ClusterTables:
    """Return the tables as they are once every kind was listed."""
    tables = ClusterTables(client, settings, touched=lambda *_: None)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(tables.follow())
        await tables.listed.wait()
        following.cancel()
    return tables


def announcements(
    cluster: ClusterId, tables: ClusterTables
) -> Iterator[Mapping[Subject, Message] | Withheld]:
    """Yield what is published of each Service and node, and what of them is not."""
    for key in tables.services.keys():  # noqa: SIM118 - no mapping
        service = tables.services.service(key)
        if service is None:
            continue
        match announce_service(cluster, service, tables.services.slices(key)):
            case Announcement(messages=messages):
                yield messages
            case NotExported() as why:
                yield Withheld(key=key, why=why)
            case None:
                continue
    for name in tables.nodes.names():
        announced = tables.nodes.announced(name)
        if announced is not None:
            yield {Subject(cluster=cluster, kind=Kind.NODE, name=name): announced}


def announce_cluster(
    settings: WatcherSettings, uid: str, tables: ClusterTables
) -> ClusterAnnounced:
    """Return the cluster's own message; what the settings say of its ranges goes before the rest.

    `uid` is that of its kube-system namespace.
    """
    nodes = tables.nodes
    return ClusterAnnounced(
        uid=uid,
        service_cidrs=join_ranges(settings.service_cidrs or tables.ranges.cidrs()),
        pod_cidrs=join_ranges(settings.pod_cidrs) or nodes.pod_cidrs(),
        tunnel_cidrs=join_ranges(settings.tunnel_cidrs) or nodes.tunnel_cidrs(),
        peering=nodes.peering(),
        version=VERSION,
        lease_s=settings.lease_s,
    )


def with_ranges_of(
    before: ClusterAnnounced | ClusterWithdrawn, message: ClusterAnnounced | ClusterWithdrawn
) -> ClusterAnnounced | ClusterWithdrawn:
    """Return a cluster's own message with the ranges of an earlier one beside its own."""
    if isinstance(before, ClusterWithdrawn) or isinstance(message, ClusterWithdrawn):
        return message
    return msgspec.structs.replace(
        message,
        service_cidrs=join_ranges((*before.service_cidrs, *message.service_cidrs)),
        pod_cidrs=join_ranges((*before.pod_cidrs, *message.pod_cidrs)),
        tunnel_cidrs=join_ranges((*before.tunnel_cidrs, *message.tunnel_cidrs)),
    )
