"""Kilo's Peer: the custom resource by which a mesh learns of a WireGuard peer outside of it. Pure.

Source: `kilo.squat.ai/v1alpha1` as of Kilo 0.7 (its CRD, and `pkg/k8s/apis/kilo/v1alpha1`).
"""

from __future__ import annotations

from typing import Final

from msgspec import field

from heliograph.kube.objects import KubeObject, KubeStruct, Resource


class DNSOrIP(KubeStruct, frozen=True, kw_only=True):
    """Host of an endpoint: a name, or an address. With both, Kilo takes the name."""

    dns: str | None = None
    ip: str | None = None


class PeerEndpoint(KubeStruct, frozen=True, kw_only=True):
    """Where a peer is reached; `port` is from 1 to 65535."""

    dns_or_ip: DNSOrIP = field(name="dnsOrIP", default=DNSOrIP())
    port: int = 0


class PeerSpec(KubeStruct, frozen=True, kw_only=True):
    """What a Peer should be.

    Attributes:
        allowed_ips: CIDRs, at least one. Of two equal entries of different Peers Kilo keeps that
            of the Peer whose name comes first.
        endpoint: None for a peer whose address is learnt when it speaks.
        persistent_keepalive: Not 0: a learnt endpoint is kept. (Kilo sends keepalives at its node's
            own interval, whatever a Peer says.) Seconds.
        preshared_key: Base64 of 32 bytes, readable by all who may read Peers.
        public_key: Base64 of 32 bytes. Kilo tells Peers apart by it, and not by their names.
    """

    allowed_ips: tuple[str, ...] = field(name="allowedIPs", default=())
    endpoint: PeerEndpoint | None = None
    persistent_keepalive: int = 0
    preshared_key: str = ""
    public_key: str = ""


class Peer(KubeObject, frozen=True, kw_only=True):
    """kilo.squat.ai/v1alpha1 Peer."""

    spec: PeerSpec = PeerSpec()


PEERS: Final = Resource(
    api="/apis/kilo.squat.ai/v1alpha1",
    plural="peers",
    kind="Peer",
    namespaced=False,
    struct=Peer,
)
