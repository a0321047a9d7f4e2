"""What a node states of its tunnels: per cluster, who answers, who does not, who is prepared."""

from __future__ import annotations

from heliograph.contract.messages import Link
from heliograph.contract.names import ClusterId
from heliograph.wireguard.device import Device, DevicePeer
from services.peerer.wireguard.desired import DesiredPeer, DesiredPeers
from services.peerer.wireguard.health import State
from services.peerer.wireguard.links import node_state, state_links
from tests.support.peers import EAST, SOUTH
from tests.support.wireguard import some_key

A, B, NEXT = some_key(1), some_key(2), some_key(3)


def cluster(exporting: ClusterId, **keys: str) -> DesiredPeers:
    """Return what is desired of a cluster whose nodes have these keys."""
    peers = {name: DesiredPeer(node=name, public_key=key) for name, key in keys.items()}
    return DesiredPeers(exporting=exporting, peers=peers)


def test_each_cluster_with_peers_is_stated() -> None:
    """In the order of their names; one without any peer is not."""
    states = {A: State.ANSWERING, B: State.SILENT}
    clusters = [
        cluster(SOUTH, s1=B),
        cluster(EAST, e2=B, e1=A, e0=B, e3=NEXT),
        cluster(ClusterId("x")),
    ]
    stated = state_links(clusters, Device(), lambda key: states.get(key, State.UNTRIED))

    assert stated.links == (
        Link(exporting=EAST, answering=1, silent=("e0", "e2"), prepared=()),
        Link(exporting=SOUTH, answering=0, silent=("s1",), prepared=()),
    )


def test_no_clusters_no_links() -> None:
    """A node without peers says so."""
    assert state_links([], Device(), lambda _: State.SILENT).links == ()


def test_a_next_key_is_prepared_once_it_stands() -> None:
    """Not before the device has it."""
    peer = DesiredPeer(node="n1", public_key=A, next_key=NEXT)
    clusters = [DesiredPeers(exporting=EAST, peers={"n1": peer})]
    standing = Device(peers={NEXT: DevicePeer(public_key=NEXT)})

    (before,) = state_links(clusters, Device(), lambda _: State.ANSWERING).links
    (after,) = state_links(clusters, standing, lambda _: State.ANSWERING).links
    assert (before.prepared, after.prepared) == ((), (NEXT,))


def test_a_node_answers_by_whichever_key_it_uses() -> None:
    """Its present key counts where neither answers."""
    peer = DesiredPeer(node="n1", public_key=A, next_key=NEXT)
    answering, silent = State.ANSWERING, State.SILENT

    assert node_state(peer, {A: silent, NEXT: answering}.__getitem__) is answering
    assert node_state(peer, {A: answering, NEXT: silent}.__getitem__) is answering
    assert node_state(peer, {A: silent, NEXT: State.UNTRIED}.__getitem__) is silent
