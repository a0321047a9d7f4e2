"""The WireGuard interface of a node, as the agent keeps it: made, read, changed, removed."""

from __future__ import annotations

import errno
import shlex
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from heliograph.wireguard.device import Device, DeviceBackend, DeviceChange
from heliograph.wireguard.errors import NoWireGuard, TunnelBusy, from_errno
from heliograph.wireguard.fold import fold_device, fold_interface
from heliograph.wireguard.interface import Interface, InterfaceChange
from heliograph.wireguard.kernel import KernelDevice
from heliograph.wireguard.keys import PrivateKey
from heliograph.wireguard.links import LinkInterface
from heliograph.wireguard.userspace import UserspaceDevice, is_userspace, start_userspace
from services.peerer.wireguard.settings import AgentSettings

LEAST_MTU: Final = 1280
"""IPv6 works on no link with less (RFC 8200, section 5)."""

_OVERHEAD_BYTES: Final = 80
"""Outer IPv6 and UDP headers and WireGuard's own; 20 less where the outer packets are IPv4."""

_USUAL_UNDERLAY: Final = 1500
_log = structlog.get_logger()


def require_free(port: int) -> None:
    """See to it that no other program has a UDP port.

    wireguard-go opens it when its interface is set up, and where that fails tells nobody but its
    log: the interface is up then, without a tunnel, until it is set down and up again.

    Raises:
        TunnelBusy: One has it.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as tried:
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                tried.bind(("", port))
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE:
                    doing = f"opening UDP port {port}, which another program has"
                    raise from_errno(exc.errno, doing) from exc


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What stands: the peers, and the interface with its addresses and routes."""

    device: Device
    interface: Interface


class Tunnels:
    """The one interface that an agent owns, by the kernel or by a userspace program."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._link: Final = LinkInterface(settings.interface)
        self._device: DeviceBackend | None = None

    async def open(self, key_for: Callable[[str | None], PrivateKey]) -> Standing:
        """Make the interface where there is none, set key and port, and read what stands.

        Args:
            key_for: Returns the key to set, from the public one that stands.

        Raises:
            NoWireGuard: Neither the kernel nor a program makes tunnels here.
            TunnelBusy: Another program has the port, or the device.
            TunnelError: It failed otherwise.
        """
        device = await self._make()
        found = await device.read()
        private, port = key_for(found.public_key), self._settings.listen_port
        if found.listen_port != port:
            require_free(port)
        if (found.public_key, found.listen_port) != (private.public, port):
            await device.configure(private, port)
            found = await device.read()
        interface = await self._link.read()
        if interface is None:
            raise TunnelBusy(f"interface {self._settings.interface} went while it was looked at")
        return Standing(device=found, interface=interface)

    async def look(self) -> Standing | None:
        """Read what stands and make nothing; None if there is no interface.

        Raises:
            TunnelError: It cannot be read, or is no WireGuard interface.
        """
        name, interface = self._settings.interface, await self._link.read()
        if interface is None:
            return None
        self._device = UserspaceDevice(name) if await is_userspace(name) else KernelDevice(name)
        return Standing(device=await self._device.read(), interface=interface)

    async def read_peers(self) -> Device:
        """Return the peers as they stand."""
        return await self._opened.read()

    async def change_peers(self, standing: Standing, changes: Sequence[DeviceChange]) -> Standing:
        """Carry changes of peers out; return what stands after them."""
        if not changes:
            return standing
        await self._opened.apply(changes)
        device = fold_device(standing.device, changes)
        return msgspec.structs.replace(standing, device=device)

    async def change_interface(
        self, standing: Standing, changes: Sequence[InterfaceChange]
    ) -> Standing:
        """Carry changes of the interface out; return what stands after them."""
        if not changes:
            return standing
        await self._link.apply(changes)
        interface = fold_interface(standing.interface, changes)
        return msgspec.structs.replace(standing, interface=interface)

    async def mtu(self, addresses: Iterable[str]) -> int:
        """Return the MTU that fits the network below, on the ways to some addresses."""
        if self._settings.mtu:
            return self._settings.mtu
        below = await self._link.underlay_mtu(addresses)
        return max(LEAST_MTU, (below or _USUAL_UNDERLAY) - _OVERHEAD_BYTES)

    def link(self) -> LinkInterface:
        """Return the interface, to hear of its changes."""
        return self._link

    async def remove(self) -> None:
        """Remove the interface; a userspace program ends with it."""
        await self._link.remove()

    def close(self) -> None:
        """Close the sockets; everything stays as it is."""
        self._link.close()
        if isinstance(self._device, KernelDevice):
            self._device.close()
        self._device = None

    @property
    def _opened(self) -> DeviceBackend:
        if self._device is None:
            raise TunnelBusy(f"interface {self._settings.interface} is not open yet")
        return self._device

    async def _make(self) -> DeviceBackend:
        """Return the device, made where it is missing; the kernel goes before a program.

        But a program that has the interface already, from before a restart of ours, keeps it.
        """
        name = self._settings.interface
        if self._device is None and await is_userspace(name):
            self._device = UserspaceDevice(name)
        if not isinstance(self._device, UserspaceDevice):
            try:
                await self._link.create_kernel_link()
                self._device = self._device or KernelDevice(name)
            except NoWireGuard:
                _log.info("no WireGuard in the kernel", program=self._settings.userspace)
            else:
                return self._device
        program = tuple(shlex.split(self._settings.userspace))
        await start_userspace(name, program, log=Path(f"/var/log/heliograph-{name}.log"))
        self._device = UserspaceDevice(name)
        return self._device
