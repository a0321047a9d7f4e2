"""The tunnels of one node as people and metrics see them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from heliograph.contract.tunnels import Tunnel, TunnelState
from heliograph.wireguard.device import Device, DevicePeer
from services.peerer.wireguard.health import State
from services.peerer.wireguard.picture import KnownPeer, Picture

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
