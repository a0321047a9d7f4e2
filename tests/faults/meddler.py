"""Somebody who changes mirrors and Peers by hand in an importing cluster: all is made good."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from heliograph.kilo.peer import PEERS
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import ApiStatus
from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES, EndpointSlice, ObjectMeta
from heliograph.marks import SERVICE_NAME_LABEL
from tests.faults.model import Model
from tests.faults.nodes import ClusterNodes
from tests.faults.writer import patiently
from tests.support.peers_seen import PeersSeen

_PAUSE_S: Final = 2.0
_PORTS: Final = [{"name": "http", "protocol": "TCP", "port": 9}]
_RARELY: Final = 0.4
_PEER_PATCHES: Final[list[dict[str, object]]] = [
    {"spec": {"allowedIPs": ["10.99.9.0/24"]}},
    {"spec": {"endpoint": None}},
    {"spec": {"persistentKeepalive": 9}},
]
_NOBODY: Final = [{"addresses": ["10.9.9.9"]}]


class Meddler:
    """Spoils one mirror after another in one cluster.

    Attributes:
        changes: How many it has spoilt.
    """

    def __init__(
        self, client: KubeClient, model: Model, dice: random.Random, note: Callable[[str], None]
    ) -> None:
        self._client, self._model, self._dice, self._note = client, model, dice, note
        self.changes = 0

    async def run(self, go_on: Callable[[], bool]) -> None:
        """Spoil mirrors while `go_on()` says so."""
        while go_on():
            await self._spoil()
            self.changes += 1
            await asyncio.sleep(self._dice.uniform(0, _PAUSE_S))

    async def _spoil(self) -> None:
        cluster = self._client.cluster
        mirrors = [m for m in sorted(self._model.mirrors(cluster)) if not m.endswith("-marker")]
        if not mirrors:
            return
        name = self._dice.choice(mirrors)
        for export in self._model.of(name, cluster):
            export.interrupt()
        act = self._dice.choice(
            [self._delete_service, self._delete_slices, self._spoil_service, self._spoil_slices]
        )
        self._note(f"by hand in {cluster}: {act.__name__.removeprefix('_')} of {name}")
        await act(name)

    async def _delete_service(self, name: str) -> None:
        metadata = ObjectMeta(name=name, namespace=self._model.namespace)
        await _once(lambda: self._client.delete(SERVICES, metadata))

    async def _spoil_service(self, name: str) -> None:
        where = self._model.namespace, name
        patch = {"spec": {"ports": _PORTS}}
        await _once(lambda: self._client.merge_patch(SERVICES, *where, patch))

    async def _delete_slices(self, name: str) -> None:
        for item in await self._slices(name):
            name_only = ObjectMeta(name=item.metadata.name, namespace=item.metadata.namespace)
            await _once(functools.partial(self._client.delete, ENDPOINT_SLICES, name_only))

    async def _spoil_slices(self, name: str) -> None:
        patch = {"endpoints": _NOBODY}
        for item in await self._slices(name):
            where = item.metadata.namespace, item.metadata.name
            await _once(functools.partial(self._client.merge_patch, ENDPOINT_SLICES, *where, patch))

    async def _slices(self, name: str) -> tuple[EndpointSlice, ...]:
        of = Selection(namespace=self._model.namespace, labels=f"{SERVICE_NAME_LABEL}={name}")
        listing = await patiently(lambda: self._client.list(ENDPOINT_SLICES, of))
        return tuple(listing.items)


class PeerMeddler:
    """Spoils Peers of one importing cluster, in some rounds.

    Attributes:
        changes: How many it has spoilt.
    """

    def __init__(
        self,
        client: KubeClient,
        nodes: Mapping[str, ClusterNodes],
        seen: PeersSeen,
        dice: random.Random,
    ) -> None:
        self._client, self._nodes, self._seen, self._dice = client, nodes, seen, dice
        self.changes = 0

    async def run(self, go_on: Callable[[], bool]) -> None:
        """Spoil Peers while `go_on()` says so; in other rounds, nothing at all."""
        if self._dice.random() < _RARELY:
            self._seen.forgive()
            while go_on():
                await self._spoil()
                self.changes += 1
                await asyncio.sleep(self._dice.uniform(0, _PAUSE_S))

    async def _spoil(self) -> None:
        names = [name for name in sorted(self._seen.peers) if "-marker" not in name]
        if not names:
            return
        name = self._dice.choice(names)
        exporting, _, node = name.split(".", 2)
        self._nodes[exporting].interrupt(node)
        patch = self._dice.choice([None, *_PEER_PATCHES])
        if patch is None:
            await _once(lambda: self._client.delete(PEERS, ObjectMeta(name=name)))
        else:
            await _once(lambda: self._client.merge_patch(PEERS, "", name, patch))


async def _once(attempt: Callable[[], Awaitable[object]]) -> None:
    """Do it, unless it cannot be done any more: the reflector works on the same objects."""
    with suppress(ApiStatus):
        await patiently(attempt)
