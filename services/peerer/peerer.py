"""The peerer, put together: consume nodes, follow the own Peers, plan, apply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import structlog

from heliograph.bus import Connection
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.errors import HeliographError, RetryableError
from heliograph.health import Condition, all_hold, bus_condition, watch_conditions
from heliograph.imports.consume import Cause, ImportBus
from heliograph.imports.waiting import Waiting
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import Busy, Denied, Forbidden, Invalid, Unauthorized
from heliograph.kube.watch import Listed, ListWatch, Upserted, WatchEvent
from heliograph.metrics import Metrics
from heliograph.progress.backlog import Backlog
from heliograph.pulse import Pulse
from heliograph.queue import Queue, Urgency
from heliograph.resolve import Resolver
from heliograph.telemetry import Telemetry
from services.peerer.apply import STALE, Applier, Failure
from services.peerer.follow import Follower, Heard
from services.peerer.operations import DeletePeer, Operation, Plan
from services.peerer.own import EVERYBODY
from services.peerer.patience import PATIENCE_S
from services.peerer.picture import Picture
from services.peerer.refusal import Refusal
from services.peerer.refusals import RefusalBoard
from services.peerer.settings import PeererSettings
from services.peerer.telling import NodeKey, Telling

_PASSES: Final = 8
"""How often one cluster's Peers are planned anew at once: a handover takes three passes."""

_WORKERS: Final = 4
_LOOK_AGAIN_S: Final = 5.0
_MISSING_RIGHT_S: Final = 30.0
_REJECTED_S = 60.0
"""How often to try again what an API server did not take: people may have mended its policy."""

_LOOK_S: Final = 0.5

_log = structlog.get_logger()


class Unsettled(RetryableError):
    """Peers were still not as planned after several passes: somebody else works on them."""

    def __init__(self, exporting: ClusterId) -> None:
        super().__init__(
            f"Peers of cluster {exporting} change while they are being written; trying again later"
        )


class Peerer:
    """Keeps the Peers of one cluster, until cancelled.

    Attributes:
        pulse: Beats while its work goes on.
    """

    def __init__(
        self,
        settings: PeererSettings,
        client: KubeClient,
        *,
        home: Connection,
        buses: Sequence[ImportBus],
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `home` is the own cluster's bus, `buses` those of the exporting clusters."""
        self._settings, self._client = settings, client
        self._importing: ClusterId = parse_cluster_id(settings.cluster)
        self._home, self._buses = home, buses
        self._metrics, self.pulse = metrics, Pulse()
        self._picture = Picture(self._importing, settings)
        self._queue: Queue[ClusterId] = Queue()
        self._progress = asyncio.Event()
        self._awaited: dict[ClusterId, frozenset[ClusterId]] = {}
        self._listed = asyncio.Event()
        self._waiting: Waiting[NodeKey] = Waiting(self._importing, telemetry, metrics)
        self._watch = ListWatch(client, PEERS, look_again_s=_LOOK_AGAIN_S)
        self._applier = Applier(
            client, self._picture.own, metrics, in_flight=settings.writes_in_flight
        )
        self._refusals = RefusalBoard(
            self._importing,
            home,
            client,
            telemetry=telemetry,
            metrics=metrics,
            regarding=settings.namespace,
        )
        self._picture.resolvable = frozenset()
        self._resolver = Resolver(self._picture.hosts, self._on_resolved)
        self._telling = Telling(self._refusals, self._waiting)
        self._follower = Follower(
            self._picture,
            client,
            namespace=settings.namespace,
            metrics=metrics,
            heard=Heard(
                look_at=self._look_at,
                news=self._on_news,
                mismatched=self._waiting.complain,
                listens=self._refusals.listens,
                progress=self._progress.set,
            ),
        )
        self._measure(metrics)

    def _measure(self, metrics: Metrics) -> None:
        metrics.measure_conditions(self.conditions)
        metrics.measure_buses(self._home, *(bus.connection for bus in self._buses))
        metrics.measure_watches((self._watch, self._follower.watch))
        metrics.measure_peers(self._peers)
        metrics.queue.read(lambda: [((), len(self._queue))])
        metrics.tables.read(lambda: [(("peers", ""), len(self._picture.own))])

    def _peers(self) -> Iterator[tuple[str, str]]:
        """Yield exporting cluster and state of each Peer that is, or is not to be."""
        for exporting in self._picture.exporting():
            for _ in self._picture.own.ours(exporting):
                yield exporting, "set"
            for refusal in self._refusals.standing(exporting):
                if refusal.kind != "cluster":
                    yield exporting, "refused"

    def show_refusals(self, shown: Callable[[Refusal], None]) -> None:
        """Let `shown` hear of each refusal when it begins to stand."""
        self._refusals.shown = shown

    @property
    def absent(self) -> bool:
        """Whether the cluster has no kind Peer: Kilo is not installed there."""
        return self._picture.absent

    @property
    def ready(self) -> bool:
        """Whether the own cluster and every other one is followed right now."""
        return all_hold(self.conditions())

    def conditions(self) -> tuple[Condition, ...]:
        """Return what that takes."""
        return (
            bus_condition(self._home),
            *watch_conditions((self._watch, self._follower.watch)),
            *self._follower.conditions(self._buses),
        )

    @property
    def _informed(self) -> bool:
        """Whether everything that there is was heard, though it may be a while ago."""
        following = self._watch.alive or self.absent
        return following and self._follower.known.is_set() and self._picture.complete

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is written, or waits for another attempt."""
        waiting = len(self._queue) or self._queue.retrying
        return self._informed and self._follower.admissions.settled.is_set() and not waiting

    def heard(self) -> frozenset[ClusterId]:
        """Return the clusters whose nodes are all known."""
        return frozenset(c for c, table in self._picture.tables.items() if table.known)

    def refused(self, exporting: ClusterId) -> tuple[str, ...]:
        """Return the reasons why something of a cluster is not peered with."""
        return tuple(refusal.reason for refusal in self._refusals.standing(exporting))

    def backlog(self) -> Backlog:
        """Return of how many clusters the Peers are as they should be, and how many are not."""
        left = len(self._queue) + self._queue.retrying
        return Backlog(max(0, len(self._picture.exporting()) - left), left, "clusters")

    async def caught_up(self) -> None:
        """Wait until every cluster's nodes are known, and every Peer is as it should be."""
        while not (self._picture.exporting() and self.idle):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._progress.wait()
            self._progress.clear()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.pulse.run())
                tasks.create_task(self._follow_peers())
                tasks.create_task(self._refusals.run())
                await self._follower.begin(tasks, self._home, self._buses)
                await self._listed.wait()
                self._look_at(self._picture.exporting())
                tasks.create_task(self._try_rejected_again())
                tasks.create_task(self._resolver.run())
                for _ in range(_WORKERS):
                    tasks.create_task(self._work())
                await self.caught_up()
                self._refusals.looked_at_everything()
        finally:
            self._queue.close()
            self._waiting.close()

    def _on_news(self, connection: Connection, cause: Cause) -> None:
        node = cause.subject.cluster, cause.subject.name
        self._waiting.expect(node, connection, cause)

    def _on_resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """Take whether a name in somebody's endpoint resolves here."""
        known = self._picture.resolvable or frozenset()
        now = known | {host} if addresses else known - {host}
        if now != known:
            self._picture.resolvable = now & self._picture.hosts()
            self._look_at(self._picture.exporting())

    async def _follow_peers(self) -> None:
        async for event in self._watch.events():
            touched, self._picture.absent = self._fold(event), self._watch.absent
            self._listed.set()
            if self.absent:
                self._complain()
            everybody = EVERYBODY in touched or isinstance(event, Listed)
            self._look_at(self._picture.exporting() if everybody else self._with_waiting(touched))

    def _with_waiting(self, clusters: Iterable[ClusterId]) -> set[ClusterId]:
        """Return clusters whose Peers changed, with those that wait for keys of such Peers."""
        changed = set(clusters)
        waiting = {c for c, awaited in self._awaited.items() if awaited & changed}
        return changed | waiting

    def _fold(self, event: WatchEvent[Peer]) -> set[ClusterId]:
        match event:
            case Listed():
                return self._picture.own.list(event.items)
            case Upserted():
                return self._picture.own.put(event.object)
            case _:
                return self._picture.own.drop(event.object)

    def _complain(self) -> None:
        _log.warning(
            "no kind Peer",
            importing=self._importing,
            error=f"the API server of cluster {self._importing} knows no kind Peer "
            f"(peers.kilo.squat.ai), so no Peers are set; mirrors go on. Install Kilo there with "
            f"its custom resource definitions; Peers follow within {_LOOK_AGAIN_S:g} s. Or run no "
            f"peerer, if another network joins the clusters.",
        )

    def _look_at(self, clusters: Iterable[ClusterId]) -> None:
        for exporting in clusters:
            if exporting not in {self._importing, EVERYBODY}:
                self._queue.add(exporting, Urgency.CHANGE)

    def _look_at_later(self, exporting: ClusterId) -> None:
        asyncio.get_running_loop().call_later(PATIENCE_S, self._look_at, {exporting})

    async def _try_rejected_again(self) -> None:
        while True:
            await asyncio.sleep(_REJECTED_S)
            self._look_at(self._picture.forget_rejections())

    async def _work(self) -> None:
        """Bring one cluster's Peers after another to what they should be; for ever."""
        while True:
            exporting = await self._queue.get()
            try:
                await self._reconcile(exporting)
            except HeliographError as error:
                self._defer(exporting, error)
            else:
                self._queue.done(exporting)
            self._metrics.retries.set(self._queue.retrying)
            self._progress.set()

    def _defer(self, exporting: ClusterId, error: HeliographError) -> None:
        """Try again later; slowly where people must act first."""
        if isinstance(error, Forbidden | Unauthorized):
            _log.error("missing right", importing=self._importing, error=str(error))
            self._queue.failed(exporting, after_s=_MISSING_RIGHT_S)
            return
        _log.info("peers deferred", importing=self._importing, error=str(error))
        self._queue.failed(exporting, after_s=error.retry_after_s if isinstance(error, Busy) else 0)

    async def _reconcile(self, exporting: ClusterId) -> None:
        """Plan and apply, one phase after another, until nothing is left to do.

        Raises:
            HeliographError: An operation failed, and not by what a new plan mends.
        """
        for _ in range(_PASSES):
            begun_s = time.perf_counter()
            with self._waiting.step("plan", self._awaiting(exporting)):
                plan = self._picture.plan(exporting)
            phase = plan.additions or plan.handovers or plan.deletions
            self._metrics.planned(begun_s, phase)
            if not phase or self.absent:
                self._awaited[exporting] = plan.awaited
                if await self._telling.state(exporting, plan.refusals):
                    self._look_at_later(exporting)
                return
            failures = await self._apply(exporting, phase)
            self._log(exporting, plan, failures)
            self._look_at(self._with_waiting({exporting}) - {exporting})
            for failure in failures:
                self._judge(exporting, failure)
        raise Unsettled(exporting)

    def _log(self, exporting: ClusterId, plan: Plan, failures: Sequence[Failure]) -> None:
        """Log one line for each phase that was carried out."""
        _log.info(
            "peers applied",
            importing=self._importing,
            exporting=exporting,
            additions=len(plan.additions),
            handovers=0 if plan.additions else len(plan.handovers),
            deletions=0 if plan.additions or plan.handovers else len(plan.deletions),
            failures=len(failures),
        )

    async def _apply(
        self, exporting: ClusterId, operations: Sequence[Operation]
    ) -> tuple[Failure, ...]:
        with self._waiting.step("apply", self._awaiting(exporting)) as span:
            span.note(heliograph_operations=len(operations))
            failures = await self._applier.apply(operations)
            if failures:
                span.fail(type(failures[0].error).__name__)
            return failures

    def _awaiting(self, exporting: ClusterId) -> tuple[NodeKey, ...]:
        """Return the nodes of a cluster whose messages are not carried out yet."""
        return tuple(key for key in self._waiting.keys() if key[0] == exporting)  # noqa: SIM118 - no mapping

    def _judge(self, exporting: ClusterId, failure: Failure) -> None:
        """Take that an operation failed; raise what only waiting mends."""
        operation, error = failure.operation, failure.error
        if isinstance(error, Invalid | Denied) and not isinstance(operation, DeletePeer):
            self._picture.reject(exporting, operation.peer, str(error))
        elif not isinstance(error, STALE):
            raise error
