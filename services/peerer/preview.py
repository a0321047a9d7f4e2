"""What the peerer would write, without writing it: `heliograph peerer --dry-run`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from heliograph.bus import Connection
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.imports.consume import Discovery, ImportBus, Importer, Told
from heliograph.kilo.peer import PEERS
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from heliograph.membership.admissions import decide_now, own_declaration
from heliograph.membership.configmap import current
from heliograph.metrics import Metrics
from services.peerer.outlook import Outlook, foresee
from services.peerer.own_nodes import read_own_nodes
from services.peerer.picture import Picture
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable

_LOOK_S: Final = 0.02


async def preview(
    settings: PeererSettings, client: KubeClient, buses: Sequence[ImportBus]
) -> list[str]:
    """Return one line for each Peer that would be written, and for each refusal.

    Waits until every exporting cluster has confirmed its nodes: a half picture would show deletions
    that never happen.
    """
    picture = await read_picture(settings, client)
    async with asyncio.TaskGroup() as tasks:
        running: list[asyncio.Task[None]] = []

        def found(connection: Connection, cluster: ClusterId) -> None:
            if cluster in picture.tables or not picture.peers_with(cluster):
                return
            left_at = picture.membership.departed.get(cluster)
            table = picture.tables[cluster] = NodeTable(cluster, left_at=left_at)
            told: Told[str] = Told(
                touched=lambda *_: None, completed=lambda _: None, mismatched=_tell_nobody
            )
            metrics = Metrics("preview", settings.cluster)
            importer = Importer(connection, cluster, table, metrics=metrics, told=told)
            running.append(tasks.create_task(importer.run()))

        running += [tasks.create_task(Discovery(bus, found=found).run()) for bus in buses]
        while not (picture.tables and picture.complete):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(_LOOK_S)
        for task in running:
            task.cancel()
    decide_admissions(picture)
    outlooks = (foresee(picture, exporting) for exporting in sorted(picture.exporting()))
    return [line for outlook in outlooks for line in _lines(outlook)]


async def read_picture(settings: PeererSettings, client: KubeClient) -> Picture:
    """Return the importing cluster's Peers, ranges and decisions; it may have no kind Peer."""
    importing = parse_cluster_id(settings.cluster)
    picture = Picture(importing, settings)
    picture.declared = await own_declaration(client, importing)
    picture.own_nodes = await read_own_nodes(client)
    picture.membership = await current(client, settings.namespace)
    try:
        picture.own.list((await client.list(PEERS)).items)
    except NotFound:
        picture.absent = True
    return picture


def decide_admissions(picture: Picture) -> None:
    """Decide which of the clusters that are known are admitted, without keeping a record of it."""
    declarations = (picture.declaration(cluster) for cluster in picture.tables)
    others = (declaration for declaration in declarations if declaration is not None)
    picture.decision = decide_now(picture.declared, others, picture.membership, picture.policy)
    picture.changed()


async def _tell_nobody(_: object) -> None:
    """Take no part."""


def _lines(outlook: Outlook) -> Iterator[str]:
    for name in sorted(outlook.before.keys() | outlook.after.keys()):
        before, after = outlook.before.get(name), outlook.after.get(name)
        if after is None:
            yield f"delete  Peer {name}"
        elif before is None:
            yield f"create  Peer {name}"
        elif before.spec != after.spec:
            yield f"replace Peer {name}"
    for refusal in outlook.refusals:
        yield f"refuse  {refusal.message}"
