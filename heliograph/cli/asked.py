"""What `heliograph peers` is told."""

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
