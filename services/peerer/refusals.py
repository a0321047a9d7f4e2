"""Which refusals stand, and where people see them: log, metric, bus, Kubernetes Event, feedback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

from heliograph.announce.statements import Part, Statements
from heliograph.bus import Connection
from heliograph.contract.messages import Feedback, Message, RefusalStated, encode_feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject, feedback_subject
from heliograph.errors import HeliographError
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import NAMESPACES, Namespace, ObjectMeta
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.peerer.names import peer_name
from services.peerer.refusal import Refusal

_AGAIN_S: Final = 300.0
_log = structlog.get_logger()


class RefusalBoard:
    """The refusals of one importing cluster, by exporting cluster; each change is told once.

    The log and the metric have them always; the bus and Events only while `run` runs, since of
    several programs that see the same, one tells.

    Attributes:
        shown: Hears of each refusal when it begins to stand.
    """

    def __init__(
        self,
        importing: ClusterId,
        home: Connection,
        client: KubeClient,
        *,
        telemetry: Telemetry,
        metrics: Metrics,
        regarding: str,
    ) -> None:
        """Prepare.

        Args:
            importing: The importing cluster.
            home: The bus on which it publishes.
            client: Its API server.
            telemetry: Makes spans.
            metrics: Counts.
            regarding: The namespace that Events about clusters and nodes are about.
        """
        self._importing, self._metrics = importing, metrics
        self._stated: Statements[ClusterId] = Statements(
            home,
            Part(
                cluster=importing,
                kind=Kind.REFUSAL,
                # without dots: the reflector's, about silent clusters
                owned=lambda subject: not subject.namespace and "." in subject.name,
            ),
            messages=self._messages,
            telemetry=telemetry,
            metrics=metrics,
        )
        self._recorder = EventRecorder(client, "peerer", counted=metrics.count_event)
        self._regarding = Namespace(metadata=ObjectMeta(name=regarding))
        self.shown: Callable[[Refusal], None] = lambda _: None
        self._standing: dict[ClusterId, tuple[Refusal, ...]] = {}
        self._buses: dict[ClusterId, Connection] = {}
        self._to_tell: asyncio.Queue[Refusal] = asyncio.Queue()
        self._running = False

    def listens(self, exporting: ClusterId, connection: Connection) -> None:
        """Take where a cluster hears what is said of it."""
        self._buses[exporting] = connection

    def standing(self, exporting: ClusterId) -> tuple[Refusal, ...]:
        """Return the refusals of one cluster."""
        return self._standing.get(exporting, ())

    def put(self, exporting: ClusterId, refusals: Iterable[Refusal]) -> None:
        """Set the refusals of one cluster."""
        now, before = tuple(refusals), self.standing(exporting)
        if now == before:
            return
        self._standing.pop(exporting, None)
        if now:
            self._standing[exporting] = now
        self._metrics.count_refusals(before, now)
        for refusal in now:
            if refusal not in before:
                self._tell(refusal)
        for refusal in before:
            if refusal not in now:
                _log.info("peered with again", **self._labels(refusal), refused=refusal.name)
                self._recorder.forget("", self._object(refusal).metadata.name)
        self._stated.state(exporting)

    def looked_at_everything(self) -> None:
        """Take that what an earlier incarnation stated, and does not stand now, is to go."""
        self._stated.looked_at_everything()

    async def run(self) -> None:
        """Keep the refusals on the bus equal to those that stand, and tell whom they concern."""
        self._running = True
        try:
            self._tell_all()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._recorder.run())
                tasks.create_task(self._tell_exporting())
                tasks.create_task(self._tell_again())
                tasks.create_task(self._stated.run(lambda: self._standing))
        finally:
            self._running = False

    async def _tell_again(self) -> None:
        """Tell what stands from time to time: a watcher may not have heard it."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            self._tell_all()

    def _tell_all(self) -> None:
        for refusals in self._standing.values():
            for refusal in refusals:
                self._spread(refusal)

    def _messages(self, exporting: ClusterId) -> dict[Subject, Message]:
        """Return what the bus is told of one cluster; of several about one thing, the first."""
        return {
            Subject(
                cluster=self._importing,
                kind=Kind.REFUSAL,
                name=peer_name(exporting, f"{refusal.kind}:{refusal.name}"),
            ): RefusalStated(
                exporting=exporting,
                kind=refusal.kind,
                name=refusal.name,
                reason=refusal.reason,
                message=refusal.message,
            )
            for refusal in reversed(self.standing(exporting))
        }

    def _tell(self, refusal: Refusal) -> None:
        log = _log.error if refusal.kind == "cluster" else _log.warning
        log("not peered with", **self._labels(refusal), error=refusal.message)
        self.shown(refusal)
        if self._running:
            self._spread(refusal)

    def _spread(self, refusal: Refusal) -> None:
        """Tell people in both clusters; an Event that was written is not written again."""
        self._record(refusal)
        self._to_tell.put_nowait(refusal)

    def _record(self, refusal: Refusal) -> None:
        why = (refusal.reason, refusal.message)
        found = self._object(refusal)
        if isinstance(found, Peer):
            self._recorder.record(PEERS, found, "Warning", why)
        else:
            self._recorder.record(NAMESPACES, found, "Warning", why)

    def _object(self, refusal: Refusal) -> Peer | Namespace:
        if refusal.kind == "peer":
            return Peer(metadata=ObjectMeta(name=refusal.name))
        return self._regarding

    async def _tell_exporting(self) -> None:
        """Tell the cluster concerned, at most once: nothing depends on it but people's knowing."""
        while True:
            refusal = await self._to_tell.get()
            connection = self._buses.get(refusal.exporting)
            if connection is None or refusal.kind == "peer":
                continue
            kind = Kind.NODE if refusal.kind == "node" else Kind.CLUSTER
            about = Subject(cluster=refusal.exporting, kind=kind, name=refusal.name)
            feedback = Feedback(
                event_id="",
                outcome="refused",
                seconds=0,
                reason=refusal.reason,
                message=refusal.message,
            )
            with suppress(HeliographError):
                subject = feedback_subject(self._importing, about)
                await connection.publish(subject, encode_feedback(feedback))

    def _labels(self, refusal: Refusal) -> dict[str, str]:
        return {
            "importing": self._importing,
            "exporting": refusal.exporting,
            "reason": refusal.reason,
        }
