"""How an in-memory cluster is set up. No I/O."""

from __future__ import annotations

import msgspec
from typing_extensions import override


class MemoryClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one in-memory cluster.

    Attributes:
        name: The cluster's id, one DNS label; also its context in a kubeconfig.
        service_cidrs: One range, or one per address family; the first is the primary family.
        node_ports: First and last port of NodePort Services.
        token: Bearer token that every request must carry; None admits everybody. kubectl sends
            no token over plain HTTP, so a cluster for kubectl has none.
        port: Port on 127.0.0.1; 0 lets the system choose, and a restart keeps the choice.
        bookmark_interval_s: Seconds between bookmarks of a watch that asked for them; 60 as in
            the real server.
        history_limit: Changes per kind that a watch or a paged list can still be served from;
            older versions get 410.
        version: What `/version` says.
    """

    name: str
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16",)
    node_ports: tuple[int, int] = (30000, 32767)
    token: str | None = None
    port: int = 0
    bookmark_interval_s: float = 60.0
    history_limit: int = 10_000
    version: str = "v1.36.3"

    @override
    def __repr__(self) -> str:
        """Show which cluster it is, never the token."""
        return f"MemoryClusterSettings(name={self.name!r}, service_cidrs={self.service_cidrs!r})"
