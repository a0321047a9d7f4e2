"""One change in the mesh, as a subscriber gets it. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from heliograph.contract.messages import AnyMessage
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind

Change = Literal["added", "modified", "withdrawn", "synced", "interrupted"]
"""What happened. `synced`: all that the cluster's stream held has been told. `interrupted`: changes
may have been missed; they are told as soon as the stream can be read again, each once."""


class MeshEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change.

    Attributes:
        change: What happened.
        cluster: The cluster that published it; empty where the bus itself is meant.
        kind: What it is about; None for `synced` and `interrupted`.
        namespace: Kubernetes namespace; empty for what has none.
        name: Kubernetes name.
        data: The whole state, as the contract has it; None if there is none any more.
        live: Whether it came as a change; else it was there before, or happened unseen.
        id: Which publication it was (`ce-id`); empty if none was seen, as of what vanished unseen.
        time: When its cluster saw it, by its clock (`ce-time`): RFC 3339 in UTC; likewise empty.
        stored_at_ns: When the bus stored that, nanoseconds since the Unix epoch, by its clock; 0
            likewise.
        traceparent: W3C trace context of its publication; empty without tracing.
        reason: Why the stream is interrupted; one phrase.
    """

    change: Change
    cluster: ClusterId
    kind: Kind | None = None
    namespace: str = ""
    name: str = ""
    data: AnyMessage | None = None
    live: bool = False
    id: str = ""
    time: str = ""
    stored_at_ns: int = 0
    traceparent: str = ""
    reason: str = ""

    @property
    def place(self) -> str:
        """The thing as people write it: "NAMESPACE/NAME", or the name of what has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name
