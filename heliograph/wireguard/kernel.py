"""WireGuard in the kernel, by generic netlink."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from heliograph.wireguard import codec, nlmsg, wgmsg
from heliograph.wireguard.applier import Applier
from heliograph.wireguard.device import Device, DeviceBackend, DeviceChange
from heliograph.wireguard.errors import NoWireGuard, TunnelError, from_errno
from heliograph.wireguard.keys import PrivateKey
from heliograph.wireguard.netlink import Netlink

_NETLINK_GENERIC: Final = 16


class KernelDevice(DeviceBackend):
    """A WireGuard interface of the kernel, in the network namespace of whoever uses it first."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._applier: Final = Applier(self._send_changes, self.read)
        self._changing: Final = asyncio.Lock()
        self._opening: Final = asyncio.Lock()
        self._netlink: Netlink | None = None
        self._family: int = 0

    def close(self) -> None:
        """Close the socket; the device stays as it is."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    @override
    async def read(self) -> Device:
        netlink = await self._open()
        request = nlmsg.Request(self._family, 0, wgmsg.get_device(self.name))
        try:
            found = await netlink.dump(request)
        except OSError as exc:
            raise self._refused(exc.errno or errno.EIO, "reading", exc.strerror or "") from exc
        return wgmsg.parse_device(message.body for message in found)

    @override
    async def configure(self, private_key: PrivateKey, listen_port: int) -> None:
        error = await self._send(wgmsg.set_device(self.name, private_key, listen_port))
        if error:
            raise self._refused(error, f"setting key and port {listen_port} of")

    @override
    async def apply(self, changes: Sequence[DeviceChange]) -> None:
        async with self._changing:
            error = await self._applier.apply(changes)
        if error:
            raise self._refused(error, "changing peers of")

    async def _send_changes(self, changes: Sequence[DeviceChange]) -> int:
        for body in wgmsg.set_peers(self.name, changes):
            error = await self._send(body)
            if error:
                return error
        return 0

    async def _send(self, body: bytes) -> int:
        netlink = await self._open()
        refused = await netlink.send([nlmsg.Request(self._family, 0, body)])
        return refused[0].error if refused else 0

    def _refused(self, error: int, doing: str, text: str = "") -> TunnelError:
        if error == errno.EOPNOTSUPP:
            return TunnelError(f"{self.name} stands on this machine, and is no WireGuard interface")
        return from_errno(error, f"{doing} {self.name}" + (f" ({text})" if text else ""))

    async def _open(self) -> Netlink:
        async with self._opening:
            if self._netlink is None:
                self._netlink = await self._opened()
            return self._netlink

    async def _opened(self) -> Netlink:
        netlink = Netlink(_NETLINK_GENERIC)
        try:
            self._family = codec.parse_family(await netlink.ask(codec.get_family(wgmsg.FAMILY)))
        except OSError as exc:
            netlink.close()
            raise _no_family(exc) from exc
        except BaseException:
            netlink.close()
            raise
        return netlink


def _no_family(exc: OSError) -> TunnelError:
    if exc.errno == errno.ENOENT:
        return NoWireGuard(
            "this machine's kernel has no WireGuard: load its module (modprobe wireguard), "
            "or install wireguard-go"
        )
    return from_errno(exc.errno or errno.EIO, "looking for WireGuard in the kernel")
