"""Which nodes are offered as peers by our own agent, on nodes without Kilo."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.contract.messages import NodeAnnounced
from heliograph.kube.objects import Node, NodeSpec, ObjectMeta
from services.watcher.nodes import NodeTable
from tests.support.builders import KEY, NOW_S, OTHER_KEY, kilo_node

SAID = {
    "public-key": KEY,
    "endpoint": "203.0.113.10:51820",
    "tunnel-ip": "100.72.3.9/20",
}
USUAL = NodeAnnounced(
    public_key=KEY,
    endpoint="203.0.113.10:51820",
    pod_cidrs=("10.42.0.0/24", "fd00:42::/64"),
    tunnel_ip="100.72.3.9/20",
    peering="wireguard",
)
LONG_S = 10_000_000.0


def agents_node(name: str = "n1", **said: str) -> Node:
    """Return a Node as the agent annotates it; "absent" leaves an annotation out."""
    texts = {**SAID, **{key.replace("_", "-"): value for key, value in said.items()}}
    return Node(
        metadata=ObjectMeta(
            name=name,
            annotations={f"heliograph.io/{k}": v for k, v in texts.items() if v != "absent"},
        ),
        spec=NodeSpec(pod_cidr="10.42.0.0/24", pod_cidrs=("10.42.0.0/24", "fd00:42::/64")),
    )


def changed(**fields: Any) -> NodeAnnounced:  # noqa: ANN401 - fields of NodeAnnounced
    return msgspec.structs.replace(USUAL, **fields)


def with_kilo(node: Node) -> Node:
    annotations = {**node.metadata.annotations, **kilo_node().metadata.annotations}
    meta = msgspec.structs.replace(node.metadata, annotations=annotations)
    return msgspec.structs.replace(node, metadata=meta)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, USUAL),
        ({"endpoint": "absent"}, changed(endpoint=None)),
        ({"endpoint": "gw.example.com:51821"}, changed(endpoint="gw.example.com:51821")),
        ({"endpoint": "nonsense"}, changed(endpoint=None)),
        ({"tunnel_ip": "100.72.3.9"}, changed(tunnel_ip=None)),
        ({"tunnel_ip": "100.72.3.9%eth0/20"}, changed(tunnel_ip=None)),
        ({"next_public_key": OTHER_KEY}, changed(next_public_key=OTHER_KEY)),
        ({"next_public_key": "short"}, USUAL),
        ({"public_key": "short"}, None),
        ({"public_key": "absent"}, None),
    ],
)
def test_a_node_is_announced_by_its_agents_annotations(
    said: dict[str, str], expected: NodeAnnounced | None
) -> None:
    """Each annotation is a fact; without a key there is no peer, and a bad text counts as none."""
    table = NodeTable(grace_s=120)
    table.put(agents_node(**said), now_s=NOW_S)
    assert table.announced("n1") == expected


def test_it_stays_announced_without_heartbeats() -> None:
    """Time alone takes no node away: those that peer with it find out whether it answers."""
    table = NodeTable(grace_s=120)
    table.put(agents_node(), now_s=NOW_S)
    assert table.expire(now_s=NOW_S + LONG_S) == set()
    assert table.announced("n1") == USUAL


def test_it_is_withdrawn_at_once_when_its_agent_was_removed() -> None:
    """Taking the annotations away is meant; with Kilo it would be a rollout."""
    table = NodeTable(grace_s=120)
    table.put(agents_node(), now_s=NOW_S)
    assert table.put(agents_node(public_key="absent"), now_s=NOW_S + 1) == {"n1"}
    assert table.announced("n1") is None


def test_what_an_earlier_watcher_said_does_not_bring_it_back() -> None:
    """A restarted watcher remembers nodes of Kilo whose agents are silent, and no others."""
    table = NodeTable(grace_s=120)
    table.put(agents_node(public_key="absent"), now_s=NOW_S)
    table.remember("n1", USUAL, now_s=NOW_S)
    assert table.announced("n1") is None


def test_kilos_word_counts_where_kilo_runs() -> None:
    """Two programs may not set the peers of one node; Kilo was there first."""
    table = NodeTable(grace_s=120)
    table.put(with_kilo(agents_node()), now_s=NOW_S)
    announced = table.announced("n1")
    assert announced is not None
    assert announced.peering == "kilo"
    assert table.peering() == "kilo"


def test_a_cluster_says_how_its_nodes_peer() -> None:
    """None without nodes, WireGuard with our agents alone."""
    table = NodeTable(grace_s=120)
    assert table.peering() == "none"
    table.put(agents_node(), now_s=NOW_S)
    assert table.peering() == "wireguard"


def test_the_clusters_tunnel_range_is_that_of_its_nodes() -> None:
    """An address with its mask tells the whole range."""
    table = NodeTable(grace_s=120)
    table.put(agents_node(), now_s=NOW_S)
    table.put(agents_node("n2", tunnel_ip="100.72.5.1/20"), now_s=NOW_S)
    assert table.tunnel_cidrs() == ("100.72.0.0/20",)
