"""Carries operations out against the importing cluster's API server, and folds the answers in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar, assert_never

import msgspec

from heliograph.errors import HeliographError
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, Conflict, NotFound
from heliograph.kube.objects import ObjectMeta
from heliograph.metrics import Metrics
from services.peerer.operations import CreatePeer, DeletePeer, Operation, ReplacePeer
from services.peerer.own import OwnPeers

R = TypeVar("R")

STALE: Final = (AlreadyExists, Conflict, NotFound)
"""The cluster is not as the plan assumed; what stands there was read, and the next plan judges."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that was not carried out."""

    operation: Operation
    error: HeliographError


class Applier:
    """Writes to one cluster, and keeps the table of it up to date with what was written."""

    def __init__(
        self, client: KubeClient, own: OwnPeers, metrics: Metrics, *, in_flight: int
    ) -> None:
        """Prepare; at most `in_flight` requests are on their way at the same time."""
        self._client, self._own, self._metrics = client, own, metrics
        self._slots = asyncio.Semaphore(in_flight)

    async def apply(self, operations: Sequence[Operation]) -> tuple[Failure, ...]:
        """Carry out operations that do not depend on one another; return those that failed."""
        outcomes = await asyncio.gather(*map(self._attempt, operations))
        return tuple(outcome for outcome in outcomes if outcome is not None)

    async def _attempt(self, operation: Operation) -> Failure | None:
        async with self._slots:
            try:
                await self._apply(operation)
            except HeliographError as error:
                return Failure(operation=operation, error=error)
        return None

    async def _apply(self, operation: Operation) -> None:
        match operation:
            case CreatePeer(peer=peer):
                await self._write("create", peer, self._client.create(PEERS, peer))
            case ReplacePeer(peer=peer):
                await self._write("replace", peer, self._client.replace(PEERS, peer))
            case DeletePeer(metadata=metadata):
                await self._delete(metadata)
            case _:
                assert_never(operation)

    async def _write(self, verb: str, peer: Peer, sending: Awaitable[Peer]) -> None:
        with self._own.request(peer.metadata) as request:
            try:
                written = await self._counted(verb, sending)
            except STALE:
                await self._look(peer.metadata)
                raise
            self._own.wrote(request, written)

    async def _delete(self, metadata: ObjectMeta) -> None:
        with self._own.request(metadata) as request:
            try:
                await self._counted("delete", self._client.delete(PEERS, metadata))
            except STALE:
                await self._look(metadata)
                raise
            self._own.deleted(request)

    async def _look(self, metadata: ObjectMeta) -> None:
        """Read what stands under the name, so that the next plan is about it."""
        with self._own.request(metadata) as request:
            try:
                found = await self._client.get(PEERS, "", metadata.name)
            except NotFound:
                self._own.missing(request)
            else:
                self._own.found(request, found)

    async def _counted(self, verb: str, sending: Awaitable[R]) -> R:
        outcome = "ok"
        try:
            return await sending
        except HeliographError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._metrics.writes.labels(verb, PEERS.plural, outcome).inc()
