"""Settings of the watcher."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heliograph.membership.record import NAMESPACE
from heliograph.ranges import canonical

PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]


class WatcherSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the watcher of one cluster needs to know; `cluster` only has no default.

    Attributes:
        cluster: Id of the cluster: one DNS label.
        lease_s: The cluster's lease is out when it was silent for so long, seconds; long enough
            for a restart of the watcher or of the bus.
        lease_period_s: How often the lease is renewed, seconds. Digests travel with it, so it is
            also how soon a loss is noticed.
        compare_s: How often the cluster is compared with its stream although nothing calls for
            it, seconds.
        node_grace_s: How long a node stays announced when Kilo's agent has gone silent, seconds
            beyond Kilo's own 60; one cycle of a rolling update.
        create_stream: Whether to create the cluster's stream. On a bus that clusters share, only
            an administrator's process may.
        stream_replicas: How many servers of the bus keep the stream.
        service_cidrs: Ranges of cluster IPs, instead of what the API server says.
        pod_cidrs: Ranges of pods, instead of what the nodes say.
        tunnel_cidrs: Ranges of the nodes' addresses in the tunnels, instead of what the nodes say.
        kilo_granularity: Granularity of Kilo's mesh, instead of what the nodes say.
        namespace: Namespace of the ConfigMap 'clusterset', which keeps what 'heliograph leave',
            'forget' and 'confirm' say.
    """

    cluster: str
    lease_s: PositiveSeconds = 10.0
    lease_period_s: PositiveSeconds = 2.0
    compare_s: PositiveSeconds = 300.0
    node_grace_s: float = 120.0
    create_stream: bool = True
    stream_replicas: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    tunnel_cidrs: tuple[str, ...] = ()
    kilo_granularity: Literal["", "location", "full"] = ""
    namespace: str = NAMESPACE

    def __post_init__(self) -> None:
        """Refuse what is no range: it would stand against the cluster everywhere else."""
        for text in (*self.service_cidrs, *self.pod_cidrs, *self.tunnel_cidrs):
            if (cidr := canonical(text)) != text:
                hint = f"give {cidr}" if cidr else "give such as 10.4.0.0/16 or fd00:4::/64"
                raise ValueError(f"{text!r} is no range of addresses in canonical form; {hint}")
