"""Makes the tunnels of one node what they should be, and looks at what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

import structlog

from heliograph.admission.declaration import Declaration
from heliograph.metrics import Metrics
from heliograph.wireguard.device import Device, DeviceChange, DevicePeer
from heliograph.wireguard.endpoints import split_endpoint
from heliograph.wireguard.gateway import Gateway
from heliograph.wireguard.interface import InterfaceChange
from heliograph.wireguard.links import LinkInterface
from services.peerer.wireguard.addresses import host_range
from services.peerer.wireguard.asking import Asker
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.picture import Picture, Wanted
from services.peerer.wireguard.plan import plan_device, plan_interface
from services.peerer.wireguard.settings import AgentSettings
from services.peerer.wireguard.tunnels import Standing, Tunnels

_LOOK_S: Final = 1.0
"""How often peers are looked at; together with `health.SILENT_AFTER_S`, when a claim moves."""

_LOOK_SOON_S: Final = 0.1
_SOON_FOR_S: Final = 300.0
_log = structlog.get_logger()


class Keeper:
    """The tunnels of one node; one of its methods works at a time.

    Attributes:
        standing: What stands, as it was read or written last; None while that is not known, and
            the next pass begins by making the interface or finding it.
    """

    def __init__(
        self, own: AgentSettings, picture: Picture, identity: Identity, metrics: Metrics
    ) -> None:
        """Prepare; `picture` says what should be, and `identity` who the node is."""
        self._metrics = metrics
        self._own, self._picture, self._identity = own, picture, identity
        self._tunnels, self._gateway, self._asker = Tunnels(own), Gateway(own.interface), Asker()
        self.standing: Standing | None = None
        self._working = asyncio.Lock()
        self._mtu = 0
        self._awaited: frozenset[str] = frozenset()
        self._awaited_since_s = 0.0
        self._led_back: Declaration | None = None
        self._doubted = False

    async def open(self) -> None:
        """Make the tunnels, or find them as they were left.

        Raises:
            TunnelError: That failed.
        """
        async with self._working:
            self.standing = await self._open()

    async def reconcile(self) -> bool:
        """Make everything what it should be; return whether that could be told.

        It cannot before the own node is known.

        Raises:
            TunnelError: A change failed.
        """
        async with self._working:
            if self.standing is None or self._doubted:
                self.standing, self._doubted = await self._open(), False
            if self._identity.address is None:
                return False
            await self._lead_back()
            self._mtu = self._mtu or await self._tunnels.mtu(())
            await self._converge(self.standing, host_range(self._identity.address))
            return True

    async def look(self) -> bool:
        """Look which peers answer, and ask those that are silent; return whether to plan anew.

        Raises:
            TunnelError: Somebody deleted the interface, or its program ended.
        """
        async with self._working:
            if self.standing is None:
                return False
            before = self.standing.device
            in_use = self._picture.changing(before)
            device = await self._tunnels.read_peers()
            self.standing = Standing(device=device, interface=self.standing.interface)
            changed = self._picture.health.look(device, now_s=time.monotonic())
            self.ask(self._picture.health.to_ask())
            moved = self._picture.changing(device) != in_use
            return changed or moved or _form(before.peers.values()) != _form(device.peers.values())

    async def read_again(self) -> bool:
        """Read everything, also what the network below lets through; return whether to plan anew.

        Raises:
            TunnelError: It could not be read.
        """
        async with self._working:
            before = self.standing
            self.standing = standing = await self._open()
            await self._lead_back()
            endpoints = {p.endpoint for p in standing.device.peers.values() if p.endpoint}
            mtu = await self._tunnels.mtu({str(split_endpoint(one)[0]) for one in endpoints})
            same_mtu, self._mtu = mtu == self._mtu, mtu
            return before is None or before.interface != standing.interface or not same_mtu

    def next_look_s(self) -> float:
        """Return after how many seconds to look again.

        Soon while a node changes its key: until its ranges have followed, what it sends is lost.
        One whose agent died in the middle of that is not waited for so for ever.
        """
        device, now_s = self.standing.device if self.standing else Device(), time.monotonic()
        awaited = self._picture.changing(device)
        if awaited != self._awaited:
            self._awaited, self._awaited_since_s = awaited, now_s
        soon = bool(awaited) and now_s - self._awaited_since_s < _SOON_FOR_S
        return _LOOK_SOON_S if soon else _LOOK_S

    def ask(self, keys: Iterable[str]) -> None:
        """Ask the peers with these keys for a sign of life."""
        addresses = dict(self._picture.probes())
        self._asker.ask({addresses[key] for key in keys if key in addresses})

    def ask_all(self) -> None:
        """Ask every peer for a sign of life, so that handshakes begin now."""
        self._asker.ask({address for _, address in self._picture.probes()})

    def forget(self) -> None:
        """Take that the tunnels are gone."""
        self.standing = None

    def doubt(self) -> None:
        """Take that a change failed: all is read again before the next one.

        Peers that stand are looked at as before: one change that always fails, such as a route
        where somebody else has one, must not keep claims at a peer that is silent.
        """
        self._doubted = True

    def link(self) -> LinkInterface:
        """Return the interface, to hear of its changes."""
        return self._tunnels.link()

    def close(self) -> None:
        """Close the sockets; everything stays as it is."""
        self._asker.close()
        self._tunnels.close()

    async def _open(self) -> Standing:
        """Make the tunnels, or find them as they were left; the way back is looked at anew then."""
        self._led_back = None
        return await self._tunnels.open(self._identity.key_for)

    async def _converge(self, standing: Standing, address: str) -> None:
        """Carry one plan out. No second one is needed: it would be empty."""
        begun_s = time.perf_counter()
        wanted = self._picture.wanted(
            standing.device, persistent_keepalive=self._own.persistent_keepalive
        )
        peers, interface = self._plan(standing, wanted, address)
        self._metrics.planned(begun_s, (*peers, *interface))
        self.standing = await self._apply(standing, peers, interface)
        self._picture.endpoints_set(wanted.targets)

    def _plan(
        self, standing: Standing, wanted: Wanted, address: str
    ) -> tuple[tuple[DeviceChange, ...], tuple[InterfaceChange, ...]]:
        peers = plan_device(wanted.targets, standing.device, certain=wanted.certain)
        interface = plan_interface(
            wanted.interface(standing.interface, address=address, mtu=self._mtu),
            standing.interface,
        )
        return peers, interface

    async def _apply(
        self,
        standing: Standing,
        peers: tuple[DeviceChange, ...],
        interface: tuple[InterfaceChange, ...],
    ) -> Standing:
        """Carry one plan out; return what stands then."""
        if not (peers or interface):
            return standing
        standing = await self._tunnels.change_peers(standing, peers)
        standing = await self._tunnels.change_interface(standing, interface)
        _log.info(
            "tunnels changed", node=self._own.node, peers=len(peers), interface=len(interface)
        )
        return standing

    async def _lead_back(self) -> None:
        """See to it that answers find their way back; once for the ranges, since nft is slow."""
        declared = self._picture.declared
        if declared is None or declared == self._led_back:
            return
        reached = (*declared.service_cidrs, *declared.pod_cidrs)
        for done in await self._gateway.ensure(declared.service_cidrs, reached):
            _log.info("way back", node=self._own.node, done=done)
        self._led_back = declared


def _form(peers: Iterable[DevicePeer]) -> dict[str, tuple[object, ...]]:
    """Return what a plan depends on, without what changes all the time."""
    return {
        p.public_key: (p.allowed_ips, p.persistent_keepalive, bool(p.last_handshake_s))
        for p in peers
    }
