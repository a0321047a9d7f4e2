"""The tunnels of one node as people and metrics see them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from heliograph.contract.names import ClusterId
from heliograph.contract.tunnels import Tunnel, TunnelState
from heliograph.imports.link_table import Statement
from heliograph.wireguard.device import Device, DevicePeer
from services.peerer.wireguard.health import State
from services.peerer.wireguard.links import node_state
from services.peerer.wireguard.picture import KnownPeer, Picture
from services.peerer.wireguard.rotation import PeerSeen

_STATES: Final[dict[State, TunnelState]] = {
    State.ANSWERING: "answering",
    State.SILENT: "silent",
    State.UNTRIED: "unknown",
}
_NOBODY: Final = DevicePeer(public_key="")


def see_tunnels(picture: Picture, device: Device, *, now_s: float) -> tuple[Tunnel, ...]:
    """Return the tunnels to all nodes that are known, in the order of cluster and node.

    Args:
        picture: What is known of them.
        device: What stands.
        now_s: Seconds since the Unix epoch.
    """
    found = (_see(one, device, picture.health.state, now_s) for one in picture.known(device))
    return tuple(sorted(found, key=lambda one: (one.exporting, one.peer)))


def see_peers(picture: Picture, device: Device, prepared: AbstractSet[str]) -> tuple[PeerSeen, ...]:
    """Return the nodes of other clusters, as a change of the own key depends on them.

    Args:
        picture: What is known of them.
        device: What stands.
        prepared: Those that are prepared for the next key, as "CLUSTER/NODE".
    """
    found = []
    for known in picture.known(device):
        name, peer = f"{known.exporting}/{known.peer.node}", known.peer
        state = node_state(peer, picture.health.state)
        stands = (device.peers[key] for key in peer.keys if key in device.peers)
        found.append(
            PeerSeen(
                name=name,
                answering=state is State.ANSWERING,
                silent=known.refused or state is State.SILENT,
                prepared=name in prepared,
                changing=peer.next_key is not None,
                handshake_s=max((one.last_handshake_s for one in stands), default=0.0),
            )
        )
    return tuple(found)


def prepared_for(
    key: str | None, own: ClusterId, stated: Mapping[ClusterId, Mapping[str, Statement]]
) -> frozenset[str]:
    """Return the nodes, as "CLUSTER/NODE", that are prepared for a key of a node of cluster `own`.

    Args:
        key: The next key; nobody is prepared for None.
        own: The cluster of the node that has it.
        stated: What each node stated last, by cluster and node.
    """
    return frozenset(
        f"{cluster}/{node}"
        for cluster, statements in stated.items()
        for node, statement in statements.items()
        for link in statement.stated.links
        if link.exporting == own and key in link.prepared
    )


def _see(known: KnownPeer, device: Device, state: Callable[[str], State], now_s: float) -> Tunnel:
    peer = known.peer
    stands = [device.peers[key] for key in peer.keys if key in device.peers]
    active = device.peers.get(known.active, _NOBODY)
    latest_s = max((one.last_handshake_s for one in stands), default=0.0)
    ranges = frozenset[str]().union(*(one.allowed_ips for one in stands))
    return Tunnel(
        exporting=known.exporting,
        peer=peer.node,
        public_key=known.active,
        state=_state(known, active, state),
        endpoint=active.endpoint,
        roams=peer.endpoint is None,
        handshake_age_s=max(0.0, now_s - latest_s) if latest_s else None,
        received_bytes=sum(one.rx_bytes for one in stands),
        sent_bytes=sum(one.tx_bytes for one in stands),
        ranges=tuple(sorted(ranges)),
        claims=tuple(sorted(ranges.intersection(known.shared))),
        next_public_key=peer.next_key,
    )


def _state(known: KnownPeer, active: DevicePeer, state: Callable[[str], State]) -> TunnelState:
    if known.refused:
        return "refused"
    found = _STATES[state(known.active)]
    return "roaming" if found != "answering" and active.endpoint is None else found
