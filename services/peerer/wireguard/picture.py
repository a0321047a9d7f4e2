"""What the tunnels of one node should be, from all that is known, and who holds what. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from typing_extensions import override

from heliograph.admission.spans import span_of_text, touches
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.wireguard.device import Device
from heliograph.wireguard.interface import Interface
from services.peerer.neighbourhood import Neighbourhood
from services.peerer.refusal import Refusal, not_recorded
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.assigning import Around, Assigning
from services.peerer.wireguard.desired import DesiredPeer, DesiredPeers, Desiring
from services.peerer.wireguard.endpoint import device_endpoint
from services.peerer.wireguard.health import Health
from services.peerer.wireguard.nodes import routed_before
from services.peerer.wireguard.plan import Target, routes_of


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What should stand on the device.

    Attributes:
        targets: By public key.
        certain: Whether a peer that is not among them is to go.
    """

    targets: Mapping[str, Target]
    certain: bool

    def interface(self, standing: Interface, *, address: str, mtu: int) -> Interface:
        """Return the interface that goes with these peers; `address` is the own, as /32 or /128."""
        ranges = {cidr for target in self.targets.values() for cidr in target.ranges}
        if not self.certain:
            ranges |= {route.destination for route in standing.routes}
        if not standing.ipv6:
            ranges = {cidr for cidr in ranges if ":" not in cidr}
        own = frozenset({address})
        return Interface(mtu=mtu, up=True, addresses=own, routes=routes_of(ranges, own))


class KnownPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A node of another cluster that has a tunnel, or should have one.

    Attributes:
        exporting: Its cluster.
        peer: The node.
        active: The key that has the ranges, or should have them.
        shared: Ranges that several nodes of its cluster offer.
        refused: Whether its cluster is refused, so that only what stands is kept.
    """

    exporting: ClusterId
    peer: DesiredPeer
    active: str
    shared: tuple[str, ...] = ()
    refused: bool = False


class Picture(Neighbourhood):
    """What the tunnels of one node are planned from.

    Attributes:
        resolved: The address of each DNS name among the endpoints, as far as it has one.
        health: Which peers answer.
    """

    @override
    def __init__(self, importing: ClusterId, settings: PeererSettings, *, node: str) -> None:
        super().__init__(importing, settings)
        self.resolved: dict[str, str] = {}
        self.health = Health()
        self._assigning = Assigning(f"{importing}/{node}")
        self._namespace = settings.namespace
        self._endpoints: dict[str, str] = {}
        self._desired: Mapping[ClusterId, DesiredPeers] | None = None
        self._desiring = Desiring()

    @override
    def changed(self) -> None:
        """Something that the peers of all clusters may depend on has changed."""
        super().changed()
        self._desired = None

    def desired(self) -> Mapping[ClusterId, DesiredPeers]:
        """Return what should be of each cluster of which that can be told."""
        if self._desired is None:
            neighbours = {c: self.neighbour(c) for c in self.exporting() if not self.is_gone(c)}
            known = {c: one for c, one in neighbours.items() if one}
            self._desired = self._desiring.of(known, self.here())
        return self._desired

    def refusals(self) -> Mapping[ClusterId, tuple[Refusal, ...]]:
        """Return what is not taken, by exporting cluster."""
        found = {c: one.refusals for c, one in self.desired().items()}
        refused = {c: (self.not_admitted(c),) for c in self._refused()}
        unknown = self.exporting() - found.keys() - refused.keys()
        waiting = {
            c: (not_recorded(self.importing, c, self._namespace),)
            for c in unknown
            if not self.is_gone(c) and self.declaration(c) is not None and self.tables[c].known
        }
        return {**found, **refused, **waiting}

    @property
    def certain(self) -> bool:
        """Whether every cluster that has a place in the record was heard whole, or is gone."""
        if self.declared is None or not self.complete:
            return False
        recorded = {*self.decision.record, *self.decision.admitted} - {self.importing}
        return all(self.is_gone(c) or c in self.desired() or c in self._refused() for c in recorded)

    def wanted(self, device: Device, *, persistent_keepalive: int) -> Wanted:
        """Return what should stand, as claims and keys stand now."""
        around = Around(
            silent=self.health.silent(),
            active={p.public_key: self._active_key(p, device) for p in self._changing()},
            resolved=dict(self.resolved),
            persistent_keepalive=persistent_keepalive,
        )
        targets: dict[str, Target] = {}
        for refused in self._refused():
            targets.update(self._kept(refused, device, persistent_keepalive))
        targets |= self._assigning.of(self.desired(), device, self.here(), around)
        return Wanted(targets=self._moved(_each_once(targets)), certain=self.certain)

    def known(self, device: Device) -> Iterator[KnownPeer]:
        """Yield the nodes that have a tunnel, or should; of refused clusters those that have."""
        for exporting, cluster in self.desired().items():
            for peer in cluster.peers.values():
                active = self._active_key(peer, device)
                yield KnownPeer(
                    exporting=exporting, peer=peer, active=active, shared=cluster.shared
                )
        for refused in self._refused():
            for name, node in self.nodes(refused).items():
                if (key := node.public_key) in device.peers:
                    kept = DesiredPeer(node=name, public_key=key, endpoint=node.endpoint)
                    yield KnownPeer(exporting=refused, peer=kept, active=key, refused=True)

    def probes(self) -> Iterator[tuple[str, str]]:
        """Yield the key of each peer with the address that answers behind it."""
        for cluster in self.desired().values():
            for peer in cluster.peers.values():
                if peer.probe:
                    yield from ((key, peer.probe) for key in peer.keys)

    def changing(self, device: Device) -> frozenset[str]:
        """Return the keys in use of the nodes that are changing theirs."""
        return frozenset(self._active_key(peer, device) for peer in self._changing())

    def endpoints_set(self, targets: Mapping[str, Target]) -> None:
        """Take that the endpoints of these peers stand as they should: they may roam from now."""
        self._endpoints = {key: one.endpoint for key, one in targets.items() if one.endpoint}

    def _changing(self) -> Iterator[DesiredPeer]:
        for cluster in self.desired().values():
            yield from (peer for peer in cluster.peers.values() if peer.next_key)

    def _active_key(self, peer: DesiredPeer, device: Device) -> str:
        return self.health.handshakes.active_key(peer, device)

    def _refused(self) -> list[ClusterId]:
        return [c for c in self.decision.refused if not self.is_gone(c)]

    def _moved(self, targets: Mapping[str, Target]) -> Mapping[str, Target]:
        """Return the targets, with those marked whose endpoint is set although they have one."""
        silent, set_before = self.health.silent(), self._endpoints
        moved = {
            key: msgspec.structs.replace(target, moved=True)
            for key, target in targets.items()
            if key in silent or set_before.get(key, target.endpoint) != target.endpoint
        }
        return {**targets, **moved}

    def _kept(
        self, cluster: ClusterId, device: Device, keepalive: int
    ) -> Iterator[tuple[str, Target]]:
        """Yield what stands of a cluster that is refused, without the addresses of others."""
        taken, routed = self.others_addresses(cluster), routed_before(self.here(), cluster)
        for key, node in self._nodes_by_key(cluster).items():
            standing = device.peers.get(key)
            if standing is not None:
                left = frozenset(
                    c for c in standing.allowed_ips if not touches(taken, span_of_text(c))
                )
                endpoint = device_endpoint(node.endpoint, self.resolved, routed)
                yield (
                    key,
                    Target(ranges=left, endpoint=endpoint, persistent_keepalive=keepalive),
                )

    def _nodes_by_key(self, cluster: ClusterId) -> Mapping[str, NodeAnnounced]:
        nodes = self.nodes(cluster).values()
        following = {node.next_public_key: node for node in nodes if node.next_public_key}
        return following | {node.public_key: node for node in nodes}


def _each_once(targets: Mapping[str, Target]) -> Mapping[str, Target]:
    """Return the targets with each range at the last one that has it: those of admitted clusters.

    The kernel gives a range to whoever is given it last; plans would never end.
    """
    owners = {cidr: key for key, target in targets.items() for cidr in target.ranges}
    if len(owners) == sum(len(target.ranges) for target in targets.values()):
        return targets
    return {
        key: msgspec.structs.replace(
            target, ranges=frozenset(cidr for cidr in target.ranges if owners[cidr] == key)
        )
        for key, target in targets.items()
    }
