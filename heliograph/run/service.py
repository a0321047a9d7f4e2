"""What a program answers on its bus about itself."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec

import heliograph
from heliograph.bus import Connection
from heliograph.bus.background import alongside
from heliograph.bus.micro import Endpoint, Identity, Service
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.programs import (
    ENDPOINT,
    SERVICE_PREFIX,
    Gauge,
    ProgramStatus,
    status_subject,
)
from heliograph.metrics import Metrics

_OURS: Final = "heliograph_"
_SINGLE: Final = ("node", "peer")
"""Labels of which there are as many values as nodes: an answer stays far below what a bus takes."""


class Working(Protocol):
    """A program that runs."""

    @property
    def ready(self) -> bool:
        """Whether it does its work right now."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A program, as it tells of itself.

    Attributes:
        program: Its name.
        cluster: Its cluster.
        node: Its node; empty if it belongs to none.
        failing: Returns why it does not do its work right now; nothing if it does.
        metrics: Its metrics.
    """

    program: str
    cluster: ClusterId
    node: str = ""
    failing: Callable[[], tuple[str, ...]]
    metrics: Metrics

    @classmethod
    def of(
        cls, program: str, cluster: str, running: Working, metrics: Metrics, *, node: str = ""
    ) -> Told:
        """Return a program that runs."""
        return cls(
            program=program,
            cluster=parse_cluster_id(cluster),
            node=node,
            failing=lambda: () if running.ready else ("it is not ready",),
            metrics=metrics,
        )

    def status(self) -> ProgramStatus:
        """Return how the program is."""
        failing = self.failing()
        return ProgramStatus(
            program=self.program,
            cluster=self.cluster,
            node=self.node,
            version=heliograph.__version__,
            ready=not failing,
            failing=failing,
            gauges=tuple(_gauges(self.metrics)),
        )


@asynccontextmanager
async def answers(connection: Connection, told: Told) -> AsyncIterator[None]:
    """Answer on a bus for a program, beside the body."""
    async with alongside(service(connection, told).run()):
        yield


def service(connection: Connection, told: Told) -> Service:
    """Return what answers for a program on a bus; run it."""
    metadata = {"cluster": told.cluster} | ({"node": told.node} if told.node else {})
    identity = Identity(
        name=f"{SERVICE_PREFIX}{told.program}",
        id=secrets.token_hex(11),
        version=heliograph.__version__,
        description=f"The {told.program} of cluster {told.cluster}.",
        metadata=metadata,
    )
    where = status_subject(told.cluster, told.program)
    return Service(connection, identity, Endpoint(name=ENDPOINT, subject=where, answer=told.status))


def _gauges(metrics: Metrics) -> Iterator[Gauge]:
    for family in metrics.registry.collect():
        if family.type != "gauge" or not family.name.startswith(_OURS):
            continue
        for sample in family.samples:
            if not any(label in sample.labels for label in _SINGLE):
                yield Gauge(name=sample.name, labels=sample.labels, value=sample.value)
