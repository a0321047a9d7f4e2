"""What a program answers when it is asked how it is: asked and answered, never stored. Pure.

Programs answer NATS' service protocol (ADR-32 of nats-io/nats-architecture-and-design), so `nats
service list` shows them. The status of a program is the `data` of its one endpoint in the answer to
`$SRV.STATS`, and the answer to a request to that endpoint.
"""

from __future__ import annotations

from typing import Final

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import VERSION

SERVICE_PREFIX: Final = "heliograph-"
ENDPOINT: Final = "status"


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric, as the program's /metrics has it.

    Attributes:
        name: Of the metric, such as "heliograph_retries".
        labels: What it is about.
        value: What it is.
    """

    name: str
    labels: dict[str, str] = {}
    value: float


class ProgramStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a program is.

    Attributes:
        program: "watcher", "reflector", "peerer" or "agent".
        cluster: Whose it is.
        node: The node that an agent runs on; empty for the others.
        version: Its version.
        ready: Whether it does its work right now.
        failing: Why not, as /readyz says it.
        gauges: Its metrics of how things stand, but for those of single nodes and of the process.
    """

    program: str
    cluster: str
    node: str = ""
    version: str = ""
    ready: bool = False
    failing: tuple[str, ...] = ()
    gauges: tuple[Gauge, ...] = ()


def status_subject(cluster: ClusterId, program: str) -> str:
    """Return where a program is asked how it is; of agents, all of the cluster answer."""
    return f"heliograph.status.{VERSION}.{cluster}.{program}"
