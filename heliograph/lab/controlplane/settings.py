"""What one control plane of the laboratory is like. Nothing is read from the environment."""

from __future__ import annotations

import ipaddress
from typing import Final

import msgspec

CONTROLLERS: Final = (
    "namespace-controller",
    "serviceaccount-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
)
"""Those that make Services, their backends and their namespaces behave as in any cluster."""


class ControlPlaneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One control plane.

    Attributes:
        name: The cluster's id (one DNS label).
        service_cidrs: One range for cluster IPs, or two of different families (dual stack); the
            first gives Services their default family.
        controllers: Controllers to run, by their names of Kubernetes 1.36; empty for no
            kube-controller-manager at all.
        api_server_flags: Further flags of kube-apiserver, such as
            "--etcd-compaction-interval=5s"; the last mention of a flag wins.
        ready_s: Seconds until it must be ready. Three are usual on two idle cores; a loaded
            machine that starts several at once takes far longer.
    """

    name: str
    service_cidrs: tuple[str, ...] = ("10.110.0.0/16",)
    controllers: tuple[str, ...] = CONTROLLERS
    api_server_flags: tuple[str, ...] = ()
    ready_s: float = 90.0

    def __post_init__(self) -> None:
        """Refuse ranges that the API server would refuse, before anything is started."""
        versions = [ipaddress.ip_network(cidr).version for cidr in self.service_cidrs]
        if not 1 <= len(versions) <= 2 or len(set(versions)) != len(versions):  # noqa: PLR2004
            message = "service_cidrs must be one range, or one of IPv4 and one of IPv6"
            raise ValueError(f"{message}, not {', '.join(self.service_cidrs) or 'none'}")

    @property
    def service_addresses(self) -> tuple[str, ...]:
        """The addresses of the Service default/kubernetes: the first one of each range."""
        return tuple(str(ipaddress.ip_network(cidr)[1]) for cidr in self.service_cidrs)
