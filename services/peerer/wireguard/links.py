"""What the bus is told of a node's tunnels. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from heliograph.contract.messages import Link, LinkStated
from heliograph.wireguard.device import Device
from services.peerer.wireguard.desired import DesiredPeer, DesiredPeers
from services.peerer.wireguard.health import State


def state_links(
    clusters: Iterable[DesiredPeers], device: Device, state: Callable[[str], State]
) -> LinkStated:
    """Return the statement about all clusters with peers on the device.

    Args:
        clusters: What should be of each.
        device: What stands.
        state: Returns what is known of the peer with a key.
    """
    ordered = sorted(clusters, key=lambda one: one.exporting)
    links = (_link(one, device, state) for one in ordered if one.peers)
    return LinkStated(links=tuple(links))


def node_state(peer: DesiredPeer, state: Callable[[str], State]) -> State:
    """Return what is known of a node, whichever of its keys it uses."""
    states = {state(key) for key in peer.keys}
    if State.ANSWERING in states:
        return State.ANSWERING
    return state(peer.public_key)


def _link(desired: DesiredPeers, device: Device, state: Callable[[str], State]) -> Link:
    states = {name: node_state(peer, state) for name, peer in desired.peers.items()}
    prepared = (peer.next_key for peer in desired.peers.values() if peer.next_key in device.peers)
    return Link(
        exporting=desired.exporting,
        answering=sum(one is State.ANSWERING for one in states.values()),
        silent=tuple(sorted(name for name, one in states.items() if one is State.SILENT)),
        prepared=tuple(sorted(key for key in prepared if key)),
    )
