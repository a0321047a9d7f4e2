"""Says on the own Node what the agent has to say of it, and hears what people ask there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from heliograph.backoff import Backoff
from heliograph.errors import HeliographError, RetryableError
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.objects import NODES
from heliograph.kube.watch import Deleted, Listed, ListWatch
from services.peerer.wireguard.own_node import OWN_NODE, OwnNode, differing

_BACKOFF: Final = Backoff(initial_s=0.2, limit_s=10.0)
_MISSING_RIGHT_S: Final = 30.0
_log = structlog.get_logger()


class Announcing:
    """Keeps the annotations of one Node as `wanted` says they should be.

    Attributes:
        node: The Node as it was seen last; None while it is not there.
        settled: Set while it says what it should.
        watch: Follows the Node.
    """

    def __init__(
        self,
        client: KubeClient,
        name: str,
        *,
        wanted: Callable[[OwnNode], Mapping[str, str | None] | None],
        changed: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            client: The cluster of the Node.
            name: Its name.
            wanted: Returns the annotations that it should have; None while that is not known.
            changed: Hears that it was changed, by whomever.
        """
        self._client, self._name, self._wanted, self._changed = client, name, wanted, changed
        self.watch = ListWatch(client, OWN_NODE, selection=Selection(name=name))
        self._due = asyncio.Event()
        self.node: OwnNode | None = None
        self.settled = asyncio.Event()

    def look(self) -> None:
        """Something may be to be said anew."""
        self._due.set()

    async def run(self) -> None:
        """Follow the Node and annotate it, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._say())

    async def _follow(self) -> None:
        async for event in self.watch.events():
            match event:
                case Listed():
                    self.node = event.items[0] if event.items else None
                case Deleted():
                    self.node = None
                case _:
                    self.node = event.object
            if self.node is None:
                _log.warning(
                    "no such node",
                    error=f"cluster {self._client.cluster} has no Node {self._name}, so nothing is "
                    f"announced of it; it is looked for. See --node.",
                )
            self._due.set()
            self._changed()

    async def _say(self) -> None:
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._say_once()
                failures = 0
            except RetryableError as error:
                failures += 1
                _log.info("node not annotated yet", error=str(error))
                await asyncio.sleep(_BACKOFF.delay_s(failures))
                self._due.set()
            except HeliographError as error:
                _log.error("node cannot be annotated", error=str(error))
                await asyncio.sleep(_MISSING_RIGHT_S)
                self._due.set()

    async def _say_once(self) -> None:
        node = self.node
        wanted = self._wanted(node) if node is not None else None
        if node is None or wanted is None:
            return
        changes = differing(node, wanted)
        if not changes:
            self.settled.set()
            return
        self.settled.clear()
        patch = {"metadata": {"annotations": changes}}
        await self._client.merge_patch(NODES, "", self._name, patch)
