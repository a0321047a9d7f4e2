"""Settings of the peerer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heliograph.admission.policy import PRIVATE_RANGES
from heliograph.membership.record import NAMESPACE


class PeererSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the peerer of one cluster needs to know; `cluster` only has no default.

    Attributes:
        cluster: Id of the cluster: one DNS label.
        backend: What sets the peers: "kilo" writes Kilo's Peer objects, once for the cluster;
            "wireguard" is the agent of one node, and programs WireGuard there.
        import_from: Clusters to peer with, as CLUSTER, or CLUSTER=URL for one with a bus of its
            own; without it, all that the own cluster's bus knows.
        admitted_ranges: Ranges outside of these are never routed to another cluster's node.
        writes_in_flight: How many Peers are written at the same time.
        namespace: Namespace of the ConfigMap 'clusterset', which keeps what 'heliograph leave' and
            'forget' say, and which clusters' ranges were admitted when.
    """

    cluster: str
    backend: Literal["kilo", "wireguard"] = "kilo"
    import_from: tuple[str, ...] = ()
    admitted_ranges: tuple[str, ...] = PRIVATE_RANGES
    writes_in_flight: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    namespace: str = NAMESPACE
