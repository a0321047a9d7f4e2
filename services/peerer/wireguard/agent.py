"""The agent of one node, put together: consume nodes, look at the tunnels, plan, apply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from heliograph.admission.declaration import Declaration
from heliograph.backoff import Backoff
from heliograph.bus import Connection
from heliograph.contract.messages import LinkStated
from heliograph.contract.names import parse_cluster_id
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.consume import Cause, ImportBus
from heliograph.imports.waiting import Waiting
from heliograph.kube.client import KubeClient
from heliograph.metrics import Metrics
from heliograph.resolve import Resolver
from heliograph.telemetry import Telemetry
from heliograph.wireguard.device import DevicePeer
from heliograph.wireguard.endpoints import split_endpoint
from heliograph.wireguard.errors import TunnelError
from heliograph.wireguard.gateway import Gateway
from services.peerer.follow import Follower, Heard
from services.peerer.patience import PATIENCE_S
from services.peerer.refusals import RefusalBoard
from services.peerer.telling import NodeKey, Telling
from services.peerer.wireguard.addresses import host_range
from services.peerer.wireguard.announcing import Announcing
from services.peerer.wireguard.asking import Asker
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.links import state_links
from services.peerer.wireguard.own_node import OwnNode
from services.peerer.wireguard.picture import Picture, Wanted
from services.peerer.wireguard.plan import plan_device, plan_interface
from services.peerer.wireguard.settings import NodeSettings
from services.peerer.wireguard.spokesman import Spokesman
from services.peerer.wireguard.stating import LinkStatement
from services.peerer.wireguard.tunnels import Standing, Tunnels

_LOOK_S: Final = 1.0
"""How often peers are looked at; together with `health.SILENT_AFTER_S`, when a claim moves."""

_PASSES: Final = 4
_WHOLE_S: Final = 30.0
"""How often everything is read again although nothing calls for it."""

_SETTLE_S: Final = 0.5
"""How long changes of the machine's network are collected before they are looked at."""

_BACKOFF: Final = Backoff(initial_s=0.2, limit_s=5.0)
_log = structlog.get_logger()


class Agent:
    """Keeps the tunnels of one node, until cancelled; they stay when it ends."""

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
        self._tunnels, self._asker = Tunnels(own), Asker()
        self._gateway = Gateway(own.interface)
        self._identity = Identity(own, self._picture)
        self._standing: Standing | None = None
        self._due, self._done, self._heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._reading = asyncio.Lock()
        self._mtu = 0
        self._led_back: Declaration | None = None
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
            client, own.node, wanted=self._said, changed=self._look_at_everything
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
                listens=self._board.listens,
            ),
            records=False,
        )
        self._resolver = Resolver(self._picture.hosts, self._on_resolved)
        subject = Subject(cluster=importing, kind=Kind.LINK, name=own.node)
        self._statement = LinkStatement(
            home, subject, self._links, telemetry=telemetry, metrics=metrics
        )

    @property
    def ready(self) -> bool:
        """Whether nodes are followed, and the tunnels are as they should be."""
        return self._announcing.alive and self._picture.complete and self._done.is_set()

    async def caught_up(self) -> None:
        """Wait until everything is heard, said and set."""
        while not self._picture.certain:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._heard.wait()
            self._heard.clear()
        await self._done.wait()
        await self._announcing.settled.wait()

    async def run(self) -> None:
        """Run until cancelled."""
        self._standing = await self._open()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announcing.run())
                await self._follower.begin(tasks, self._home, self._buses)
                self._look_at_everything()
                tasks.create_task(self._resolver.run())
                tasks.create_task(self._statement.run())
                tasks.create_task(self._spokesman.run())
                tasks.create_task(self._keep())
                tasks.create_task(self._look())
                tasks.create_task(self._look_at_the_machine())
        finally:
            self._waiting.close()
            self._asker.close()
            self._tunnels.close()

    def _said(self, node: OwnNode) -> Mapping[str, str | None] | None:
        """Return what is to be said of the own node; None before the tunnels stand."""
        if self._standing is None:
            return None
        before, said = self._identity.address, self._identity.said(node)
        if said.tunnel_ip != before:
            self._due.set()
        return said.annotations()

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

    def _links(self) -> LinkStated:
        standing = self._standing
        if standing is None:
            return LinkStated()
        clusters = self._picture.desired().values()
        return state_links(clusters, standing.device, self._picture.health.state)

    async def _open(self) -> Standing:
        """Make the tunnels, or find them as they were left; the way back is looked at anew then."""
        self._led_back = None
        return await self._tunnels.open(lambda: self._identity.key)

    async def _keep(self) -> None:
        """Make the tunnels what they should be whenever something changed; for ever."""
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                async with self._reading:
                    await self._reconcile()
                failures = 0
            except TunnelError as error:
                failures += 1
                self._standing = None
                self._metrics.retries.set(failures)
                _log.warning("tunnels deferred", node=self._own.node, error=str(error))
                await asyncio.sleep(_BACKOFF.delay_s(failures))
                self._due.set()

    async def _reconcile(self) -> None:
        """Plan and apply until nothing differs.

        Raises:
            TunnelError: A change failed, or something else works on the interface all the time.
        """
        if self._standing is None:
            self._standing = await self._open()
        if self._identity.address is None:
            return  # the own node is not known yet
        address = host_range(self._identity.address)
        await self._lead_back()
        self._mtu = self._mtu or await self._tunnels.mtu(())
        for _ in range(_PASSES):
            wanted = self._picture.wanted(
                self._standing.device, persistent_keepalive=self._own.persistent_keepalive
            )
            if not await self._apply(self._standing, wanted, address):
                self._picture.endpoints_set(wanted.targets)
                await self._settle()
                return
        raise TunnelError(f"interface {self._own.interface} is being changed by something else")

    async def _apply(self, standing: Standing, wanted: Wanted, address: str) -> bool:
        """Carry one plan out; return whether there was anything to do."""
        peers = plan_device(wanted.targets, standing.device, certain=wanted.certain)
        interface = plan_interface(
            wanted.interface(standing.interface, address=address, mtu=self._mtu),
            standing.interface,
        )
        if not (peers or interface):
            return False
        standing = await self._tunnels.change_peers(standing, peers)
        self._standing = await self._tunnels.change_interface(standing, interface)
        _log.info(
            "tunnels changed", node=self._own.node, peers=len(peers), interface=len(interface)
        )
        return True

    async def _lead_back(self) -> None:
        """See to it that answers find their way back; once for the ranges, since nft is slow."""
        declared = self._picture.declared
        if declared is None or declared == self._led_back:
            return
        reached = (*declared.service_cidrs, *declared.pod_cidrs)
        for done in await self._gateway.ensure(declared.service_cidrs, reached):
            _log.info("way back", node=self._own.node, done=done)
        self._led_back = declared

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
            await asyncio.sleep(_LOOK_S)
            try:
                async with self._reading:
                    await self._look_once()
            except TunnelError:  # somebody deleted the interface, or its program ended
                self._standing = None
                self._due.set()

    async def _look_once(self) -> None:
        if self._standing is None:
            return
        before = self._standing.device
        device = await self._tunnels.read_peers()
        self._standing = Standing(device=device, interface=self._standing.interface)
        changed = self._picture.health.look(device, now_s=time.monotonic())
        if changed or _form(before.peers.values()) != _form(device.peers.values()):
            self._due.set()
        addresses = dict(self._picture.probes())
        asked = self._picture.health.to_ask()
        self._asker.ask(addresses[key] for key in asked if key in addresses)

    async def _look_at_the_machine(self) -> None:
        """Look at everything when the machine's network changed, and from time to time."""
        changed = asyncio.Event()

        async def listen() -> None:
            async for _ in self._tunnels.link().changes():
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
        """Read everything, also what the network below lets through."""
        try:
            async with self._reading:
                before = self._standing
                self._standing = await self._open()
                await self._lead_back()
                endpoints = {p.endpoint for p in self._standing.device.peers.values() if p.endpoint}
                mtu = await self._tunnels.mtu({str(split_endpoint(one)[0]) for one in endpoints})
        except TunnelError as error:
            _log.warning("tunnels not read", node=self._own.node, error=str(error))
            self._standing = None
            self._due.set()
            return
        if before is None or before.interface != self._standing.interface or mtu != self._mtu:
            self._mtu = mtu
            self._due.set()


def _form(peers: Iterable[DevicePeer]) -> dict[str, tuple[object, ...]]:
    """Return what a plan depends on, without what changes all the time."""
    return {
        p.public_key: (p.allowed_ips, p.persistent_keepalive, bool(p.last_handshake_s))
        for p in peers
    }
