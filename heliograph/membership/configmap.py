"""Follows and writes the ConfigMap of one cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import structlog

from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import AlreadyExists, NotFound
from heliograph.kube.objects import CONFIG_MAPS, NAMESPACES, ConfigMap, Namespace, ObjectMeta
from heliograph.kube.watch import Listed, ListWatch, Upserted
from heliograph.membership.record import NAME, Membership, read

_log = structlog.get_logger()


async def follow(client: KubeClient, namespace: str) -> AsyncIterator[Membership]:
    """Yield what is decided now, and again whenever that changes; for ever.

    Without the ConfigMap, or its namespace, nothing is decided.
    """
    watch = ListWatch(client, CONFIG_MAPS, selection=Selection(namespace=namespace, name=NAME))
    told: Membership | None = None
    async for event in watch.events():
        match event:
            case Listed(items=items):
                data = items[0].data if items else {}
            case Upserted(object=found):
                data = found.data
            case _:
                data = {}
        now = read(data)
        if now == told:
            continue
        if now.unknown:
            where = f"ConfigMap {namespace}/{NAME}"
            _log.warning("entries that mean nothing", where=where, entries=now.unknown)
        told = now
        yield now


async def current(client: KubeClient, namespace: str) -> Membership:
    """Return what is decided now; with the same right to list that `follow` needs."""
    selection = Selection(namespace=namespace, name=NAME)
    items = (await client.list(CONFIG_MAPS, selection)).items
    return read(items[0].data) if items else Membership()


async def write(client: KubeClient, namespace: str, entries: dict[str, str | None]) -> ConfigMap:
    """Set entries, or (None) remove them; makes the ConfigMap if it is not there.

    Raises:
        NotFound: There is no such namespace.
    """
    try:
        return await client.merge_patch(CONFIG_MAPS, namespace, NAME, {"data": entries})
    except NotFound:
        data = {name: value for name, value in entries.items() if value is not None}
        metadata = ObjectMeta(name=NAME, namespace=namespace)
        try:
            return await client.create(CONFIG_MAPS, ConfigMap(metadata=metadata, data=data))
        except AlreadyExists:
            return await client.merge_patch(CONFIG_MAPS, namespace, NAME, {"data": entries})


async def ensure_namespace(client: KubeClient, namespace: str) -> None:
    """Make the namespace if it is not there."""
    try:
        await client.get(NAMESPACES, "", namespace)
    except NotFound:
        await client.create(NAMESPACES, Namespace(metadata=ObjectMeta(name=namespace)))
