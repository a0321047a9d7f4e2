"""Follows and writes the ConfigMap of one cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import structlog

from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import AlreadyExists, NotFound
from heliograph.kube.objects import CONFIG_MAPS, NAMESPACES, ConfigMap, Namespace, ObjectMeta
from heliograph.kube.watch import Listed, ListWatch, Upserted
from heliograph.membership.record import NAME, Membership, read

_log = structlog.get_logger()


def record_watch(client: KubeClient, namespace: str) -> ListWatch[ConfigMap]:
    """Return what follows the ConfigMap."""
    return ListWatch(client, CONFIG_MAPS, selection=Selection(namespace=namespace, name=NAME))


async def follow(watch: ListWatch[ConfigMap], namespace: str) -> AsyncIterator[Membership]:
    """Yield what is decided now, and again whenever that changes; for ever.

    Without the ConfigMap, or its namespace, nothing is decided.
    """
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
    return (await current_version(client, namespace))[0]


async def current_version(client: KubeClient, namespace: str) -> tuple[Membership, str]:
    """Return what is decided now, and its resource version; an empty one if nothing is there."""
    selection = Selection(namespace=namespace, name=NAME)
    items = (await client.list(CONFIG_MAPS, selection)).items
    if not items:
        return Membership(), ""
    return read(items[0].data), items[0].metadata.resource_version


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


async def write_unless_changed(
    client: KubeClient, namespace: str, entries: Mapping[str, str | None], version: str
) -> None:
    """Set entries, or (None) remove them, in the version that was read; make an absent ConfigMap.

    Raises:
        AlreadyExists, Conflict: It is not what was read any more.
        NotFound: There is no such namespace, or the ConfigMap is gone.
    """
    if version:
        patch = {"metadata": {"resourceVersion": version}, "data": entries}
        await client.merge_patch(CONFIG_MAPS, namespace, NAME, patch)
        return
    data = {name: value for name, value in entries.items() if value is not None}
    metadata = ObjectMeta(name=NAME, namespace=namespace)
    await client.create(CONFIG_MAPS, ConfigMap(metadata=metadata, data=data))


async def ensure_namespace(client: KubeClient, namespace: str) -> None:
    """Make the namespace if it is not there."""
    try:
        await client.get(NAMESPACES, "", namespace)
    except NotFound:
        await client.create(NAMESPACES, Namespace(metadata=ObjectMeta(name=namespace)))
