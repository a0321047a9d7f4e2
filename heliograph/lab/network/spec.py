"""What a laboratory's network is like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from heliograph.errors import InputError

MOST_CLUSTERS: Final = 16  # each has a /20 of one /16 for its Services
MOST_NODES: Final = 200  # each has an address of its cluster's /24

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?")  # a link's name has 15 bytes at most
_TAKEN: Final = frozenset({"control-plane", "lan", "lo", "uplink"})
_LEAST_MTU: Final = 576


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    Attributes:
        name: Its name in Kubernetes.
        nat: Other clusters see its packets with the address of its cluster's gateway, and open
            nothing to it. Inside its cluster it is a node like any other.
        mtu: Bytes of the largest packet on its link; None for its cluster's. A packet from its
            cluster that is larger is lost without a word, as on a switch.
    """

    name: str
    nat: bool = False
    mtu: int | None = None


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster: a control plane and nodes on one segment, behind one gateway.

    Attributes:
        name: The cluster's id.
        nodes: Its nodes, the host of its control plane apart.
        mtu: Bytes of the largest packet inside the cluster.
        uplink_mtu: Of the largest one between its gateway and the router in the middle.
        pod_mtu: Of the largest one on a pod's link.
        cluster_cidr: Whether kube-proxy is told the range of pods, and so knows whom to masquerade.
        rp_filter: Of every node: 0 for none, 1 for strict, 2 for loose.
    """

    name: str
    nodes: tuple[NodeSpec, ...]
    mtu: int = 1500
    uplink_mtu: int = 1500
    pod_mtu: int = 1500
    cluster_cidr: bool = True
    rp_filter: int = 1


class LaboratorySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A network of clusters around one router.

    Attributes:
        clusters: At least one.
        kubernetes: Whether programs run: control planes, kube-proxy, CoreDNS and nats-server.
            Without them there are hosts and links only, in a second, and no pods.
    """

    clusters: tuple[ClusterSpec, ...]
    kubernetes: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be built, before anything is.

        Raises:
            InputError: A name, a number or an MTU that cannot be; says which.
        """
        _check_count("clusters", len(self.clusters), MOST_CLUSTERS)
        _check_names("cluster", (cluster.name for cluster in self.clusters))
        for cluster in self.clusters:
            _check_count(f"nodes in {cluster.name}", len(cluster.nodes), MOST_NODES)
            _check_names(f"node in {cluster.name}", (node.name for node in cluster.nodes))
            for mtu in (cluster.mtu, cluster.uplink_mtu, cluster.pod_mtu, *_mtus(cluster)):
                _check_mtu(cluster.name, mtu)


def _mtus(cluster: ClusterSpec) -> Iterable[int]:
    return (node.mtu for node in cluster.nodes if node.mtu is not None)


def _check_count(what: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise InputError(f"{count} {what} cannot be: from 1 to {most} can")


def _check_names(what: str, names: Iterable[str]) -> None:
    known = set(_TAKEN)
    for name in names:
        if not _NAME.fullmatch(name) or name in known:
            raise InputError(
                f"no {what} can be called {name!r}: a name has at most 14 letters, digits and "
                "hyphens, begins with a letter, and is there once"
            )
        known.add(name)


def _check_mtu(cluster: str, mtu: int) -> None:
    if mtu < _LEAST_MTU:
        raise InputError(f"an MTU of {mtu} in {cluster} cannot be: {_LEAST_MTU} is the least")
