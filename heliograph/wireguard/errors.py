"""What goes wrong with tunnels, sorted by who can mend it."""

from __future__ import annotations

from heliograph.errors import HeliographError, InputError, RetryableError


class TunnelError(HeliographError):
    """Something about the device, its addresses or its routes could not be read or written."""


class TunnelBusy(TunnelError, RetryableError):
    """The kernel had no room or no time for it (ENOBUFS, EBUSY, EAGAIN, ENODEV): try again."""


class TunnelForbidden(TunnelError, InputError):
    """The process may not do this (EPERM, EACCES): it needs CAP_NET_ADMIN."""


class NoWireGuard(TunnelError, InputError):
    """This machine has no WireGuard: neither in its kernel nor as a program."""
