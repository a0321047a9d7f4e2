"""Follows what people decided about the ClusterSet, and keeps which clusters have left it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.membership.configmap import follow, record_watch, write
from heliograph.membership.record import DEPARTED, NAME, Membership, entry_of

_AGAIN_S: Final = 30.0
_log = structlog.get_logger()


class Members:
    """The membership of one importing cluster.

    Attributes:
        known: Set once it was read for the first time.
        watch: Follows the ConfigMap.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        *,
        changed: Callable[[Membership], None],
        confirmed: Callable[[ClusterId], None],
    ) -> None:
        """Prepare.

        Args:
            client: The own cluster.
            namespace: Where the ConfigMap is.
            changed: Hears of every change.
            confirmed: Hears of each cluster whose mirrors may go, when somebody says so.
        """
        self._client, self._namespace = client, namespace
        self._changed, self._confirmed = changed, confirmed
        self._departures: dict[ClusterId, int | None] = {}
        self._due = asyncio.Event()
        self._complaint = ""
        self.known = asyncio.Event()
        self.watch = record_watch(client, namespace)

    async def run(self) -> None:
        """Follow and keep, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep())
            before: Membership | None = None
            async for now in follow(self.watch, self._namespace):
                self._changed(now)
                for cluster, word in now.confirmed.items():
                    if before is not None and before.confirmed.get(cluster) != word:
                        self._confirmed(cluster)
                before = now
                self.known.set()

    def departed(self, cluster: ClusterId, epoch: int | None) -> None:
        """Remember that a cluster left at this epoch, or (None) that it is back."""
        self._departures[cluster] = epoch
        self._due.set()

    async def _keep(self) -> None:
        """Write departures down, so that they hold after a restart too."""
        while True:
            await self._due.wait()
            self._due.clear()
            departures, self._departures = self._departures, {}
            entries = {
                entry_of(DEPARTED, cluster): None if epoch is None else str(epoch)
                for cluster, epoch in departures.items()
            }
            try:
                await write(self._client, self._namespace, entries)
            except HeliographError as error:
                self._complain(str(error))
                self._departures = departures | self._departures
                await asyncio.sleep(_AGAIN_S)
                self._due.set()

    def _complain(self, error: str) -> None:
        """Say once that a restart would forget who left; until then it is remembered."""
        if error != self._complaint:
            self._complaint = error
            where = f"ConfigMap {self._namespace}/{NAME}"
            _log.warning("who left is not written down", where=where, error=error)
