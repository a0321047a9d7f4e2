"""Hears all nodes of all clusters once, for whoever only wants to know what would be done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from heliograph.bus import Connection
from heliograph.contract.names import ClusterId
from heliograph.imports.consume import Discovery, ImportBus, Importer, Told
from heliograph.kube.client import KubeClient
from heliograph.membership.admissions import decide_now, own_declaration
from heliograph.membership.configmap import current
from heliograph.metrics import Metrics
from services.peerer.neighbourhood import Neighbourhood
from services.peerer.own_nodes import read_own_nodes
from services.peerer.table import NodeTable

_LOOK_S: Final = 0.02


async def read_own(around: Neighbourhood, client: KubeClient, *, namespace: str) -> None:
    """Read the importing cluster's ranges, nodes and decisions."""
    around.declared = await own_declaration(client, around.importing)
    around.own_nodes = await read_own_nodes(client)
    around.membership = await current(client, namespace)


async def hear_others(around: Neighbourhood, buses: Sequence[ImportBus]) -> None:
    """Read the nodes of the other clusters until each of these has confirmed them.

    A half picture would show deletions that never happen.
    """
    async with asyncio.TaskGroup() as tasks:
        running: list[asyncio.Task[None]] = []

        def found(connection: Connection, cluster: ClusterId) -> None:
            if cluster in around.tables or not around.peers_with(cluster):
                return
            left_at = around.membership.departed.get(cluster)
            table = around.tables[cluster] = NodeTable(cluster, left_at=left_at)
            told: Told[str] = Told(
                touched=lambda *_: None, completed=lambda _: None, mismatched=_tell_nobody
            )
            metrics = Metrics("preview", around.importing)
            importer = Importer(connection, cluster, table, metrics=metrics, told=told)
            running.append(tasks.create_task(importer.run()))

        running += [tasks.create_task(Discovery(bus, found=found).run()) for bus in buses]
        while not (around.tables and around.complete):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(_LOOK_S)
        for task in running:
            task.cancel()
    decide_admissions(around)


def decide_admissions(around: Neighbourhood) -> None:
    """Decide which of the clusters that are known are admitted, without keeping a record of it."""
    declarations = (around.declaration(cluster) for cluster in around.tables)
    others = (declaration for declaration in declarations if declaration is not None)
    around.decision = decide_now(around.declared, others, around.membership, around.policy)
    around.changed()


async def _tell_nobody(_: object) -> None:
    """Take no part."""
