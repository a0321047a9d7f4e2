"""What commands that ask over the bus are told."""

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


class ReachSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As whom to ask.

    Attributes:
        as_cluster: Id of the cluster whose user of the bus this is: answers then go where only
            that cluster may listen, as it does itself. In a program's pod it is that cluster.
    """

    as_cluster: str | None = None


class StatusSettings(ReachSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to look, and as whom to ask.

    Attributes:
        import_from: Other clusters that have a bus of their own, as CLUSTER=URL.
    """

    import_from: tuple[str, ...] = ()
