"""What `heliograph peers` and `heliograph trace` are told."""

from __future__ import annotations

import msgspec


class AskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask.

    Attributes:
        cluster: Id of the cluster whose agents are asked.
        wait_s: How long to wait for agents that do not answer, seconds.
    """

    cluster: str
    wait_s: float = 5.0


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask for changes.

    Attributes:
        cluster: Id of the exporting cluster; without it, every cluster of the bus is asked.
        wait_s: How long to wait for a watcher that does not answer, seconds.
    """

    cluster: str | None = None
    wait_s: float = 5.0
