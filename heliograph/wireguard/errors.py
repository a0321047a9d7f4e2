"""What goes wrong with tunnels, sorted by who can mend it."""

from __future__ import annotations

import errno
import os
from typing import Final

from heliograph.errors import HeliographError, InputError, RetryableError


class TunnelError(HeliographError):
    """Something about the device, its addresses or its routes could not be read or written."""


class TunnelBusy(TunnelError, RetryableError):
    """The kernel had no room or no time for it (ENOBUFS, EBUSY, EAGAIN, ENODEV): try again."""


class TunnelForbidden(TunnelError, InputError):
    """The process may not do this (EPERM, EACCES): it needs CAP_NET_ADMIN."""


class NoWireGuard(TunnelError, InputError):
    """This machine has no WireGuard: neither in its kernel nor as a program."""


class NoNftables(TunnelError, InputError):
    """This machine has no program nft."""


_FORBIDDEN: Final = {errno.EPERM, errno.EACCES}
_PASSING: Final = {
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EBUSY,
    errno.EAGAIN,
    errno.EINTR,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENETDOWN,
    errno.EADDRINUSE,
}


def from_errno(number: int, doing: str) -> TunnelError:
    """Return the error of an errno, positive, that stopped us `doing` something.

    EADDRINUSE passes too: another program has the UDP port, perhaps our own predecessor.
    """
    reason = os.strerror(number)
    if number in _FORBIDDEN:
        return TunnelForbidden(
            f"{doing}: {reason}. Networks of this machine are changed by root, or by a process "
            "with CAP_NET_ADMIN; give it that."
        )
    kind = TunnelBusy if number in _PASSING else TunnelError
    return kind(f"{doing}: {reason} ({errno.errorcode.get(number, number)})")
