"""Whether this process may change the machine's network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from heliograph.wireguard.errors import TunnelForbidden

_NET_ADMIN: Final = 12
"""CAP_NET_ADMIN in include/uapi/linux/capability.h."""

_STATUS: Final = Path("/proc/self/status")


def require_rights(status: Path = _STATUS) -> None:
    """See to it at the start that the process has CAP_NET_ADMIN, rather than at the first change.

    Raises:
        TunnelForbidden: It has not.
    """
    effective = re.search(
        r"^CapEff:\s*([0-9a-f]+)$", status.read_text(encoding="ascii"), re.MULTILINE
    )
    if effective is not None and not int(effective[1], 16) >> _NET_ADMIN & 1:
        raise TunnelForbidden(
            "this process has no CAP_NET_ADMIN, without which no interface, peer or route can be "
            "set; nothing was changed. Run it as root, or give its container the capability "
            "NET_ADMIN"
        )
