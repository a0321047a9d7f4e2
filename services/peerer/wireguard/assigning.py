"""Which key of an exporting cluster has which ranges, and where it is reached. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import msgspec

from heliograph.admission.spans import Spans
from heliograph.contract.names import ClusterId
from heliograph.wireguard.device import Device
from services.peerer.claims import Candidate, resolve_claims
from services.peerer.judging import Here
from services.peerer.wireguard.desired import DesiredPeer, DesiredPeers
from services.peerer.wireguard.endpoint import device_endpoint
from services.peerer.wireguard.nodes import routed_before
from services.peerer.wireguard.plan import Target

_Standing: TypeAlias = list[frozenset[str] | None]


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What the targets of every cluster depend on.

    Attributes:
        silent: The keys of peers that do not answer.
        active: Of the nodes that change their key, the one that has the ranges, by present key.
        resolved: The address of each DNS name among the endpoints, as far as it has one.
        persistent_keepalive: Seconds.
    """

    silent: AbstractSet[str]
    active: Mapping[str, str]
    resolved: Mapping[str, str]
    persistent_keepalive: int

    def active_key(self, peer: DesiredPeer) -> str:
        """Return the key of a node that has its ranges."""
        return self.active.get(peer.public_key, peer.public_key)


class _Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """The targets of one cluster, and from what they were decided."""

    desired: DesiredPeers
    keys: tuple[str, ...]
    standing: _Standing
    routed: Spans
    targets: Mapping[str, Target]


class Assigning:
    """Decides who gets what, anew only for clusters of which something else is known now.

    One peer changes often, and all of them are many.
    """

    def __init__(self, importer: str) -> None:
        """Prepare; `importer` is whose tunnels these are: claims are spread over importers."""
        self._importer = importer
        self._around: Around | None = None
        self._known: dict[ClusterId, _Assigned] = {}

    def of(
        self, clusters: Mapping[ClusterId, DesiredPeers], device: Device, here: Here, around: Around
    ) -> dict[str, Target]:
        """Return the targets of all clusters, by public key; none of them is `moved`.

        Args:
            clusters: What should be of each.
            device: What stands: claims stay where they are while that peer answers.
            here: Which ranges go through the tunnels.
            around: What else counts.
        """
        before = self._known if around == self._around else {}
        self._around, self._known = around, {}
        targets: dict[str, Target] = {}
        for cluster, desired in clusters.items():
            routed, known = routed_before(here, cluster), before.get(cluster)
            if known is None or not _is_so_still(known, desired, device, routed):
                known = self._assign(desired, device, routed, around)
            self._known[cluster] = known
            targets.update(known.targets)
        return targets

    def _assign(
        self, desired: DesiredPeers, device: Device, routed: Spans, around: Around
    ) -> _Assigned:
        keys = tuple(key for peer in desired.peers.values() for key in peer.keys)
        return _Assigned(
            desired=desired,
            keys=keys,
            standing=_standing(keys, device),
            routed=routed,
            targets=dict(_targets(desired, device, routed, around, self._importer)),
        )


def _is_so_still(known: _Assigned, desired: DesiredPeers, device: Device, routed: Spans) -> bool:
    """Tell whether a cluster's targets would be decided from the same."""
    return (
        known.desired is desired
        and known.routed == routed
        and known.standing == _standing(known.keys, device)
    )


def _standing(keys: tuple[str, ...], device: Device) -> _Standing:
    """Return the ranges that each of these keys has; None of one that is no peer."""
    found = map(device.peers.get, keys)
    return [None if peer is None else peer.allowed_ips for peer in found]


def _targets(
    desired: DesiredPeers, device: Device, routed: Spans, around: Around, importer: str
) -> Iterator[tuple[str, Target]]:
    candidates = (_candidate(peer, device, around) for peer in desired.peers.values())
    claimed: dict[str, list[str]] = {}
    for cidr, holder in resolve_claims(desired.shared, candidates, importer).items():
        claimed.setdefault(holder, []).append(cidr)
    for name, peer in desired.peers.items():
        active = around.active_key(peer)
        endpoint = device_endpoint(peer.endpoint, around.resolved, routed)
        for key in peer.keys:
            held = (*peer.ranges, *claimed.get(name, ())) if key == active else ()
            yield (
                key,
                Target(
                    ranges=frozenset(held),
                    endpoint=endpoint,
                    persistent_keepalive=around.persistent_keepalive,
                ),
            )


def _candidate(peer: DesiredPeer, device: Device, around: Around) -> Candidate:
    standing = [device.peers[key].allowed_ips for key in peer.keys if key in device.peers]
    return Candidate(
        segment=peer.node,
        healthy=around.active_key(peer) not in around.silent,
        holds=frozenset[str]().union(*standing),
    )
