"""What is known of a Service in two clusters and on their buses, once it was looked at. Pure.

What could not be read is named in `unread`, with the reason: no rule takes it for absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.contract.messages import (
    ClusterAnnounced,
    ClusterWithdrawn,
    EndpointsExported,
    NodeAnnounced,
    RefusalStated,
    ServiceExported,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.tunnels import Tunnel
from heliograph.kilo.peer import Peer
from heliograph.kube.objects import (
    EndpointSlice,
    KubeObject,
    Namespace,
    Service,
    ServiceCIDR,
)
from heliograph.membership.record import Membership
from services.reflector.table import ServiceKey

API: Final = "its API server"
"""The key in `unread` for whatever is read from a cluster."""

MEMBERSHIP: Final = "what people decided"
"""The key for the ConfigMap `clusterset`."""

PEERS: Final = "Peers"
"""The key for Kilo's Peers."""


class InCluster(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in one cluster under the Service's name, and around it.

    Attributes:
        cluster: Its id.
        uid: UID of its kube-system namespace; empty if unknown.
        service: The Service, whoever owns it.
        slices: The EndpointSlices that bear its name.
        endpoints: Endpoints of that name that carry our label.
        namespace: The namespace that it is in.
        cidrs: The ranges of cluster IPs.
        membership: What people decided about the ClusterSet here.
        peers: Kilo's Peers, of the cluster asked for or all; None where the kind is not served.
        ranges: What the API server shows of its ranges; only where its lease is not known.
        held: What the reflector says of removals that it holds; by exporting cluster.
        unread: By what it is: why that could not be read.
    """

    cluster: ClusterId
    uid: str = ""
    service: Service | None = None
    slices: tuple[EndpointSlice, ...] = ()
    endpoints: KubeObject | None = None
    namespace: Namespace | None = None
    cidrs: tuple[ServiceCIDR, ...] = ()
    membership: Membership = Membership()
    peers: tuple[Peer, ...] | None = None
    ranges: ClusterAnnounced | None = None
    held: Mapping[ClusterId, str] = {}
    unread: Mapping[str, str] = {}


class OnBus(msgspec.Struct, frozen=True, kw_only=True):
    """What the stream of one cluster holds about the Service.

    Attributes:
        cluster: The cluster.
        fault: Why nothing is known; names the bus. Empty if it was read.
        announced: The cluster's own message: its lease.
        age_s: How old that is, seconds, by this machine's clock.
        service: The Service as it is exported; None if it is not, or was withdrawn.
        unreadable: Whether there is a message about it that this version cannot read.
        endpoints: Its EndpointSlices by name, as far as they were asked for.
        nodes: Its nodes by name, as far as they were asked for.
        refusals: What the cluster states about others: about this Service, or what has no
            namespace.
    """

    cluster: ClusterId
    fault: str = ""
    announced: ClusterAnnounced | ClusterWithdrawn | None = None
    age_s: float = 0
    service: ServiceExported | None = None
    unreadable: bool = False
    endpoints: Mapping[str, EndpointsExported] = {}
    nodes: Mapping[str, NodeAnnounced] = {}
    refusals: tuple[RefusalStated, ...] = ()


class Tunnels(msgspec.Struct, frozen=True, kw_only=True):
    """What the WireGuard agents of the importing cluster answer.

    Attributes:
        told: By node.
        missing: Nodes whose agents have spoken before, and did not answer.
        fault: Why they could not be asked; empty if they were.
    """

    told: Mapping[str, tuple[Tunnel, ...]] = {}
    missing: tuple[str, ...] = ()
    fault: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one Service between two clusters.

    Attributes:
        key: The Service.
        exporting: The exporting cluster.
        importing: The importing cluster.
        buses: The streams of both, and of others that may export the same name.
        tunnels: What agents say; None if there are none to ask.
    """

    key: ServiceKey
    exporting: InCluster
    importing: InCluster
    buses: Mapping[ClusterId, OnBus] = {}
    tunnels: Tunnels | None = None

    @property
    def said(self) -> OnBus:
        """The exporting cluster's stream."""
        return self._bus(self.exporting.cluster)

    @property
    def stated(self) -> OnBus:
        """The importing cluster's stream."""
        return self._bus(self.importing.cluster)

    def _bus(self, cluster: ClusterId) -> OnBus:
        missing = OnBus(cluster=cluster, fault=f"no bus of cluster {cluster} was given")
        return self.buses.get(cluster, missing)
