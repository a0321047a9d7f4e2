"""How changes reach a device: in the words that it knows, which are found out by trying."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from heliograph.wireguard.device import Device, DeviceChange
from heliograph.wireguard.keys import KEY_BYTES
from heliograph.wireguard.removal import by_carrier, removes_ranges

_UNKNOWN_WORD: Final = {errno.EINVAL, errno.EPROTO, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What a device answers that cannot take a single range from a peer.

Linux from 5.6, when WireGuard came in, to 6.15 answers EINVAL: `nla_parse_nested` is strict, so
an attribute that the kernel does not know is refused, not passed over (include/net/netlink.h).
"""


class Applier:
    """Sends changes to one device.

    Every call is safe to repeat, so what was refused in the middle is sent again as a whole.
    """

    def __init__(
        self,
        send: Callable[[Sequence[DeviceChange]], Awaitable[int]],
        read: Callable[[], Awaitable[Device]],
    ) -> None:
        """Take what sends changes and returns an errno (0: all done), and what reads the device."""
        self._send: Final = send
        self._read: Final = read
        self.removes_single = True
        """Whether the device may take single ranges away; False once it was seen not to."""

    async def apply(self, changes: Sequence[DeviceChange]) -> int:
        """Carry changes out, in their order; return the errno of the one that was refused, or 0."""
        if not removes_ranges(changes):
            return await self._send(changes)
        if self.removes_single:
            # That all went well proves nothing: of a peer that is gone, Linux reads no ranges.
            error = await self._send(changes)
            if error not in _UNKNOWN_WORD:
                return error
        return await self._without_word(changes)

    async def _without_word(self, changes: Sequence[DeviceChange]) -> int:
        carrier = base64.b64encode(os.urandom(KEY_BYTES)).decode()
        error = await self._send(by_carrier(changes, await self._read(), carrier))
        if not error:
            self.removes_single = False
        return error
