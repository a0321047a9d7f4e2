"""What `heliograph peerer --backend wireguard --dry-run` shows, it does not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.errors import InputError
from heliograph.imports.consume import ImportBus
from heliograph.wireguard.device import RemovePeer, SetPeer
from heliograph.wireguard.interface import AddRoute, RemoveAddress, RemoveRoute, Route
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.outlook import annotation_lines, interface_lines, peer_lines
from services.peerer.wireguard.preview import preview
from services.peerer.wireguard.settings import AgentSettings, NodeSettings
from tests.peerer.conftest import Peer
from tests.support.joined import eventually
from tests.support.peering import Peered, key_of

INTERFACE = "hg-not-there"


async def shown(lab: Peered, key_file: Path, node: str = "w1") -> list[str]:
    """Return the preview of an agent of west."""
    settings = NodeSettings(
        peerer=PeererSettings(cluster="west", backend="wireguard"),
        own=AgentSettings(node=node, interface=INTERFACE, key_file=key_file, mtu=1420),
    )
    async with lab.lab.client("west", "heliograph") as client, lab.lab.bus("west") as bus:
        return await preview(settings, client, [ImportBus(connection=bus)])


def add_agents_node(lab: Peered, cluster: str, name: str, cidr: str, **said: str) -> None:
    """Apply a Node as an agent of ours leaves it; nothing said, as before it ever ran."""
    annotations = {f"heliograph.io/{k.replace('_', '-')}": v for k, v in said.items()}
    lab[cluster].api.apply(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
            "status": {"addresses": [{"type": "InternalIP", "address": "203.0.113.77"}]},
        }
    )


@pytest.mark.nats
async def test_what_would_be_done_is_shown_and_not_done(peer: Peer, tmp_path: Path) -> None:
    """Key, interface, peer, routes, annotations: each a line, and none of them is made."""
    key_file = tmp_path / "wireguard.key"
    async with peer("east", "west", start=False) as lab:
        lab.remove_node("east", "n1")
        lab.remove_node("east", "n2")
        said = {"public_key": key_of("east/e1"), "tunnel_ip": "100.64.16.5/20"}
        add_agents_node(lab, "east", "e1", "10.42.9.0/24", endpoint="203.0.113.9:51820", **said)
        add_agents_node(lab, "west", "w1", "10.43.9.0/24")
        for name in ("east", "west"):
            await lab.lab.start_watcher(name)
        await eventually(lambda: lab["east"].watcher.ready)

        lines = await shown(lab, key_file)

        assert lines[:2] == [f"make    key {key_file}", f"make    interface {INTERFACE}"]
        (added,) = (line for line in lines if line.startswith("add     peer"))
        assert added.startswith("add     peer east/e1 at 203.0.113.9:51820 with ")
        assert "10.42.9.0/24" in added
        assert "100.64.16.5/32" in added
        assert "add     route 10.42.9.0/24" in lines
        assert "set     MTU 1420" in lines
        endpoint = "annotation heliograph.io/endpoint of Node w1 to 203.0.113.77:51820"
        assert f"set     {endpoint}" in lines
        assert not key_file.exists()
        assert "annotations" not in lab["west"].api.get("Node", "", "w1")["metadata"]  # type: ignore[index]

        with pytest.raises(InputError, match="west has no Node w9: see --node"):
            await shown(lab, key_file, "w9")


def test_each_change_has_its_words() -> None:
    """Peers by cluster and node where these are known; by key where nobody announces it."""
    key, stranger = key_of("n1"), key_of("gone")
    changes = (
        SetPeer(public_key=key, add=("10.0.0.0/24",), persistent_keepalive=25),
        SetPeer(public_key=key, remove=("10.1.0.0/24", "10.2.0.0/24")),
        RemovePeer(public_key=stranger),
    )
    assert list(peer_lines(changes, {key: "east/n1"})) == [
        "change  peer east/n1 keepalive 25 s gets 10.0.0.0/24",
        "change  peer east/n1 loses 10.1.0.0/24, 10.2.0.0/24",
        f"remove  peer {stranger}",
    ]
    route = Route(destination="10.0.0.0/24")
    ways = (AddRoute(route), RemoveRoute(route), RemoveAddress("100.64.0.1/32"))
    assert list(interface_lines(ways)) == [
        "add     route 10.0.0.0/24",
        "remove  route 10.0.0.0/24",
        "remove  address 100.64.0.1/32",
    ]
    assert list(annotation_lines("w1", {"b": None, "a": "1"})) == [
        "set     annotation a of Node w1 to 1",
        "remove  annotation b of Node w1",
    ]
