"""The agent of one node, put together: consume nodes, look at the tunnels, plan, apply."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import count
from typing import Final

import structlog

from heliograph.backoff import Backoff
from heliograph.bus import Connection
from heliograph.clock import now_ns
from heliograph.contract.messages import LinkStated
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.subjects import Kind, Subject
from heliograph.contract.tunnels import Tunnel
from heliograph.health import Condition, all_hold, bus_condition, watch_conditions, when
from heliograph.imports.consume import Cause, ImportBus
from heliograph.imports.waiting import Waiting
from heliograph.kube.client import KubeClient
from heliograph.metrics import Metrics
from heliograph.progress.backlog import Backlog
from heliograph.pulse import Pulse
from heliograph.resolve import Resolver
from heliograph.telemetry import Span, Telemetry
from heliograph.wireguard.errors import TunnelBusy, TunnelError
from services.peerer.follow import Follower, Heard
from services.peerer.patience import PATIENCE_S
from services.peerer.refusals import RefusalBoard
from services.peerer.telling import NodeKey, Telling
from services.peerer.wireguard.announcing import Announcing
from services.peerer.wireguard.answering import Answering
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.keeping import Keeper
from services.peerer.wireguard.links import state_links
from services.peerer.wireguard.own_node import OwnNode
from services.peerer.wireguard.picture import Picture
from services.peerer.wireguard.rotating import Rotating
from services.peerer.wireguard.seen import see_tunnels
from services.peerer.wireguard.settings import NodeSettings
from services.peerer.wireguard.spokesman import Spokesman
from services.peerer.wireguard.stating import LinkStatement

_HEAR_S: Final = 1.0
_WHOLE_S: Final = 30.0
"""How often everything is read again although nothing calls for it."""

_SETTLE_S: Final = 0.5
"""How long changes of the machine's network are collected before they are looked at."""

_BACKOFF: Final = Backoff(initial_s=0.2, limit_s=5.0)
_LEAST_PAUSE_S: Final = 0.2
_NS: Final = 1e9
_log = structlog.get_logger()


class Agent:
    """Keeps the tunnels of one node, until cancelled; they stay when it ends.

    Attributes:
        pulse: Beats while its work goes on.
    """

    def __init__(
        self,
        settings: NodeSettings,
        client: KubeClient,
        *,
        home: Connection,
        buses: Sequence[ImportBus],
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `home` is the own cluster's bus, `buses` those of the exporting clusters."""
        self._home, self._buses, self._metrics = home, buses, metrics
        own, importing = settings.own, parse_cluster_id(settings.peerer.cluster)
        self._own = own
        self._picture = Picture(importing, settings.peerer, node=own.node)
        self._identity = Identity(own, self._picture)
        self._keeper, self.pulse = Keeper(own, self._picture, self._identity, metrics), Pulse()
        self._due, self._done, self._heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._sooner, self._pace_s = asyncio.Event(), 0.0
        self._waiting: Waiting[NodeKey] = Waiting(importing, telemetry, metrics)
        self._board = RefusalBoard(
            importing,
            home,
            client,
            telemetry=telemetry,
            metrics=metrics,
            regarding=settings.peerer.namespace,
        )
        self._telling = Telling(self._board, self._waiting)
        self._spokesman = Spokesman(home, importing, own.node, self._board)
        self._announcing = Announcing(
            client, own.node, wanted=self._said, changed=self._on_own_node
        )
        self._rotating = Rotating(
            own.node,
            self._picture,
            self._identity,
            self._keeper,
            own_node=lambda: self._announcing.node,
            changed=self._look_at_everything,
        )
        self._follower = Follower(
            self._picture,
            client,
            namespace=settings.peerer.namespace,
            metrics=metrics,
            heard=Heard(
                look_at=lambda _: self._look_at_everything(),
                news=self._on_news,
                mismatched=self._waiting.complain,
                listens=self._on_bus,
            ),
            records=False,
        )
        self._resolver = Resolver(self._picture.hosts, self._on_resolved)
        self._answering = Answering(home, importing, own.node, self._tunnels)
        subject = Subject(cluster=importing, kind=Kind.LINK, name=own.node)
        self._statement = LinkStatement(
            home, subject, self._links, telemetry=telemetry, metrics=metrics
        )
        self._measure(metrics)

    def _measure(self, metrics: Metrics) -> None:
        metrics.measure_conditions(self.conditions)
        metrics.measure_buses(self._home, *(bus.connection for bus in self._buses))
        metrics.measure_watches((self._announcing.watch, self._follower.watch))
        metrics.measure_tunnels(self._tunnels)

    @property
    def ready(self) -> bool:
        """Whether nodes are followed, and the tunnels are as they should be."""
        return all_hold(self.conditions())

    def conditions(self) -> tuple[Condition, ...]:
        """Return what that takes."""
        return (
            bus_condition(self._home),
            *watch_conditions((self._announcing.watch, self._follower.watch)),
            *self._follower.conditions(self._buses),
            when(
                "tunnels", self._done.is_set(), "they are not as they should be; the log says why"
            ),
        )

    def backlog(self) -> Backlog:
        """Return how many tunnels stand; they are set all at once."""
        standing = self._keeper.standing
        return Backlog(len(standing.device.peers) if standing else 0, 0, "tunnels")

    async def caught_up(self) -> None:
        """Wait until everything is heard, said and set."""
        while not self._picture.certain:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEAR_S):
                    await self._heard.wait()
            self._heard.clear()
        await self._done.wait()
        await self._announcing.settled.wait()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            await self._open()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.pulse.run())
                tasks.create_task(self._announcing.run())
                await self._follower.begin(tasks, self._home, self._buses)
                self._look_at_everything()
                tasks.create_task(self._resolver.run())
                tasks.create_task(self._statement.run())
                tasks.create_task(self._spokesman.run())
                tasks.create_task(self._answering.run())
                tasks.create_task(self._rotating.run())
                tasks.create_task(self._keep())
                tasks.create_task(self._look())
                tasks.create_task(self._look_at_the_machine())
        finally:
            self._waiting.close()
            self._keeper.close()

    async def _open(self) -> None:
        """Make the tunnels, or find them; wait while the machine has no room or time for them.

        Raises:
            TunnelError: It failed otherwise.
        """
        for failures in count(1):
            try:
                await self._keeper.open()
            except TunnelBusy as error:
                self._defer(error, failures)
                await asyncio.sleep(_BACKOFF.delay_s(failures))
            else:
                return

    def _said(self, node: OwnNode) -> Mapping[str, str | None] | None:
        """Return what is to be said of the own node; None before the tunnels stand."""
        if self._keeper.standing is None:
            return None
        before, said = self._identity.address, self._identity.said(node)
        if said.tunnel_ip != before:
            self._due.set()
        return {**said.annotations(), **self._rotating.annotations(node)}

    def _on_bus(self, cluster: ClusterId, connection: Connection) -> None:
        """Take on which bus a cluster is heard, and hears."""
        self._board.listens(cluster, connection)
        self._rotating.listens(cluster, connection)

    def _on_own_node(self) -> None:
        self._look_at_everything()
        self._rotating.look()

    def _look_at_everything(self) -> None:
        self._done.clear()
        self._due.set()
        self._heard.set()
        self._announcing.look()

    def _on_news(self, connection: Connection, cause: Cause) -> None:
        self._waiting.expect((cause.subject.cluster, cause.subject.name), connection, cause)

    def _on_resolved(self, host: str, addresses: tuple[str, ...]) -> None:
        """Take what a name resolves to; one that does not any more keeps its last address."""
        known = self._picture.resolved.get(host)
        if addresses and known not in addresses:
            self._picture.resolved[host] = min(addresses)
            self._look_at_everything()

    def _tunnels(self) -> tuple[Tunnel, ...]:
        standing = self._keeper.standing
        return see_tunnels(self._picture, standing.device, now_s=now_ns() / _NS) if standing else ()

    def _links(self) -> LinkStated:
        standing = self._keeper.standing
        if standing is None:
            return LinkStated()
        clusters = self._picture.desired().values()
        return state_links(clusters, standing.device, self._picture.health.state)

    async def _keep(self) -> None:
        """Make the tunnels what they should be whenever something changed; for ever."""
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                if await self._keeper.reconcile(self._step):
                    await self._settle()
                if self._keeper.next_look_s() < self._pace_s:  # a node changes its key from now on
                    self._sooner.set()
                failures = 0
            except TunnelError as error:
                failures += 1
                self._keeper.doubt()
                self._defer(error, failures)
                await self._pause(_BACKOFF.delay_s(failures))

    def _step(self, name: str) -> AbstractContextManager[Span]:
        """Run a step of the work on all that waits; every pass is about all of it."""
        return self._waiting.step(name, self._waiting.keys())

    def _defer(self, error: TunnelError, failures: int) -> None:
        self._metrics.retries.set(failures)
        _log.warning("tunnels deferred", node=self._own.node, error=str(error))

    async def _pause(self, longest_s: float) -> None:
        """Wait before something is tried again, but not long when something else changed."""
        if self._keeper.standing is not None:
            self._statement.state()
        await asyncio.sleep(_LEAST_PAUSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._due.wait()
        self._due.set()

    async def _settle(self) -> None:
        """Everything is as it should be: tell those who wait, and what is refused."""
        self._metrics.retries.set(0)
        refusals = self._picture.refusals()
        clusters = self._picture.exporting() | refusals.keys()
        passing = [await self._telling.state(c, refusals.get(c, ())) for c in sorted(clusters)]
        if any(passing):
            asyncio.get_running_loop().call_later(PATIENCE_S, self._due.set)
        if self._picture.certain:
            self._board.looked_at_everything()
        self._statement.state()
        self._done.set()

    async def _look(self) -> None:
        """Look which peers answer, and ask those that are silent; for ever."""
        while True:
            self._pace_s = self._keeper.next_look_s()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace_s):
                    await self._sooner.wait()
            self._sooner.clear()
            try:
                changed = await self._keeper.look()
            except TunnelError:  # somebody deleted the interface, or its program ended
                self._keeper.forget()
                changed = True
            if changed:
                self._due.set()

    async def _look_at_the_machine(self) -> None:
        """Look at everything when the machine's network changed, and from time to time."""
        changed = asyncio.Event()

        async def listen() -> None:
            async for _ in self._keeper.link().changes():
                changed.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listen())
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WHOLE_S):
                        await changed.wait()
                await asyncio.sleep(_SETTLE_S)
                changed.clear()
                await self._read_again()

    async def _read_again(self) -> None:
        try:
            changed = await self._keeper.read_again()
        except TunnelError as error:
            _log.warning("tunnels not read", node=self._own.node, error=str(error))
            self._keeper.doubt()
            changed = True
        if changed:
            self._due.set()
