"""Follows what the agents of the own cluster see of their tunnels to other clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog

from heliograph.bus import (
    BusEvent,
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Interrupted,
    SnapshotBegun,
    SnapshotComplete,
)
from heliograph.contract.messages import LinkStated, MalformedMessage, decode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    Kind,
    MalformedSubject,
    Subject,
    kind_filter,
    parse_subject,
    stream_name,
)
from heliograph.imports.consume import heard_now
from heliograph.imports.link_table import LinkTable

_PREFIX: Final = "links"
_log = structlog.get_logger()


class LinkFollower:
    """Reads the `link` messages of one cluster into a table, for ever.

    Attributes:
        table: What they say.
        known: Set once all that was stated before has been heard, or cannot be.
    """

    def __init__(
        self,
        connection: Connection,
        cluster: ClusterId,
        *,
        changed: Callable[[set[str]], None] = lambda _: None,
        beside: tuple[Kind, ...] = (),
    ) -> None:
        """Prepare.

        Args:
            connection: The bus on which the cluster publishes.
            cluster: The cluster whose agents speak.
            changed: Hears of each cluster to which the path may be another now. That a statement
                stops to count, it does not hear: the table tells when that will be.
            beside: Kinds that are read too, and passed over: on a bus that lets others read by
                several filters only.
        """
        self.table, self.known = LinkTable(), asyncio.Event()
        self._cluster, self._changed = cluster, changed
        self._logged: set[str] = set()
        self._consumer = Consumer(
            connection,
            ConsumerSettings(
                stream=stream_name(cluster),
                filter_subjects=tuple(kind_filter(cluster, kind) for kind in (Kind.LINK, *beside)),
                name_prefix=_PREFIX,
            ),
        )

    async def run(self) -> None:
        """Follow, for ever; raises nothing of the bus."""
        async with aclosing(self._consumer.events()) as events:
            async for event in events:
                if changed := self._take(event):
                    self._changed(changed)
                if isinstance(event, SnapshotComplete | Interrupted):
                    self.known.set()

    def _take(self, event: BusEvent) -> set[str]:
        match event:
            case SnapshotBegun():
                self.table.begin_replay()
            case Delivery():
                return self._take_delivery(event)
            case SnapshotComplete():
                return self.table.end_replay()
            case _:
                pass  # what was stated stands, and ages
        return set()

    def _take_delivery(self, delivery: Delivery) -> set[str]:
        """Take one message; one that is not of the contract is logged once, and harmless."""
        try:
            subject = parse_subject(delivery.subject)
        except MalformedSubject as error:
            self._reject(error)
            return set()
        ours = subject.cluster == self._cluster and subject.kind is Kind.LINK
        return self._fold(subject, delivery) if ours else set()

    def _fold(self, subject: Subject, delivery: Delivery) -> set[str]:
        try:
            message = decode(subject, delivery.payload)
        except MalformedMessage as error:
            self._reject(error)
            self.table.keep(subject.name)
            return set()
        if not isinstance(message, LinkStated):
            return self.table.drop(subject.name)
        return self.table.put(subject.name, message, heard_now(delivery))

    def _reject(self, error: MalformedSubject | MalformedMessage) -> None:
        reason = type(error).__name__
        if reason not in self._logged:
            self._logged.add(reason)
            _log.warning("link message rejected", cluster=self._cluster, error=str(error))
