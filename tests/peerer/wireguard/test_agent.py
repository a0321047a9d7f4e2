"""The agent of one node, with a real userspace tunnel: what it makes, keeps, and takes away."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from heliograph import telemetry
from heliograph.wireguard import keyfile
from heliograph.wireguard.device import Device, RemovePeer, SetPeer
from heliograph.wireguard.userspace import UserspaceDevice
from tests.support.agents import INTERFACE, MTU, Node, node
from tests.support.apart import apart
from tests.support.joined import eventually
from tests.support.networks import ip, pair
from tests.support.peering import key_of
from tests.support.wireguard import remove_link, some_key

pytestmark = [pytest.mark.nats, pytest.mark.real]


@apart
async def test_a_node_is_announced_and_has_its_peers(tmp_path: Path) -> None:
    """Key, address and endpoint are on the Node; each other node is a peer with its routes."""
    async with node(tmp_path) as world, world.running():
        await world.until_peers("east/n1", "south/n1")
        device, interface, said = await world.device(), await world.interface(), world.annotations()
        key = keyfile.load(tmp_path / "wireguard.key")
        assert key is not None
        assert interface is not None

        assert said["heliograph.io/public-key"] == key.public == device.public_key
        assert said["heliograph.io/endpoint"] == "198.51.100.7:51820"
        assert said["heliograph.io/tunnel-ip"].endswith("/20")
        own = said["heliograph.io/tunnel-ip"].partition("/")[0]
        assert (device.listen_port, interface.mtu, interface.up) == (51820, MTU, True)
        assert interface.addresses == {f"{own}/32"}
        assert await world.ranges("east", "n1") == {
            "10.43.1.0/24",
            "100.64.16.1/32",
            "10.111.0.0/16",
        }
        held = {cidr for peer in device.peers.values() for cidr in peer.allowed_ips}
        assert await world.routes() == held
        assert {route.source for route in interface.routes} == {own}


@apart
async def test_nodes_that_come_and_go(tmp_path: Path) -> None:
    """A new node is a peer, and one that is deleted is none, with all of its routes."""
    async with node(tmp_path) as world, world.running():
        world.add_node("east", "n2", 2)
        await world.until_peers("east/n1", "east/n2", "south/n1")
        world["east"].api.delete("Node", "", "n1")
        await world.until_peers("east/n2", "south/n1")

        assert "10.111.0.0/16" in await world.ranges("east", "n2")
        assert not {"10.43.1.0/24", "100.64.16.1/32"} & await world.routes()


@apart
async def test_a_tunnel_is_part_of_its_nodes_trace(tmp_path: Path) -> None:
    """Consumption, with the planning and the change of the device below it."""
    exporter = InMemorySpanExporter()
    async with node(tmp_path) as world:
        world.telemetry = telemetry.exporting("agent", "west", SimpleSpanProcessor(exporter))
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
            exporter.clear()
            world.add_node("east", "n2", 2)
            await world.until_peers("east/n1", "east/n2", "south/n1")
            await eventually(lambda: {"plan", "apply"} in below(exporter, "consume node"))


def below(exporter: InMemorySpanExporter, name: str) -> list[set[str]]:
    """Return the names of the spans below each span of this name that has ended."""
    spans = exporter.get_finished_spans()
    tops = [span.context for span in spans if span.name == name]
    return [
        {s.name for s in spans if top and s.parent and s.parent.span_id == top.span_id}
        for top in tops
    ]


@apart
async def test_tunnels_outlive_the_agent_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Between two agents all stands as it was, and the second one has nothing to do."""
    async with node(tmp_path) as world:
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
        before = (await world.device(), await world.interface(), world.annotations())
        changed = len(world.logged("tunnels changed"))
        async with world.running():
            await world.agent.caught_up()

        assert (await world.device(), await world.interface(), world.annotations()) == before
        assert len(world.logged("tunnels changed")) == changed


@apart
async def test_an_interface_that_somebody_deleted_is_made_again(tmp_path: Path) -> None:
    """With the same key, address, peers and routes."""
    async with node(tmp_path) as world, world.running():
        await world.until_peers("east/n1", "south/n1")
        before, routes = await world.device(), await world.routes()
        await remove_link(INTERFACE)

        async def stands() -> bool:
            return await world.interface() is not None and await world.routes() == routes

        await world.until(stands)
        after = await world.device()
        assert (after.public_key, after.listen_port) == (before.public_key, before.listen_port)
        assert set(after.peers) == set(before.peers)
        await eventually(lambda: world.agent.ready)


@apart
async def test_what_somebody_changed_is_as_it_was(tmp_path: Path) -> None:
    """A peer, a range, a route, the address, the MTU, up or down: each is repaired."""
    async with node(tmp_path) as world, world.running():
        await world.until_peers("east/n1", "south/n1")
        device = UserspaceDevice(INTERFACE)
        before = forms(await world.device()), await world.interface()

        async def repaired() -> bool:
            return (forms(await world.device()), await world.interface()) == before

        assert await repaired()
        for hand in (
            RemovePeer(public_key=key_of("east/n1")),
            SetPeer(public_key=key_of("east/n1"), remove=("10.43.1.0/24",)),
            SetPeer(public_key=key_of("south/n1"), add=("10.43.1.0/24", "192.0.2.0/24")),
            SetPeer(public_key=some_key(7), new=True, add=("192.0.2.0/24",)),
        ):
            await device.apply([hand])
            await world.until(repaired)
        own = world.annotations()["heliograph.io/tunnel-ip"].partition("/")[0]
        for words in (
            ("route", "del", "10.43.1.0/24"),
            ("route", "add", "192.0.2.0/24", "dev", INTERFACE, "proto", "72"),
            ("address", "add", "192.0.2.1/32", "dev", INTERFACE),
            ("address", "del", f"{own}/32", "dev", INTERFACE),
            ("link", "set", INTERFACE, "mtu", "1300"),
            ("link", "set", INTERFACE, "down"),
        ):
            await ip(*words)
            await world.until(repaired)


def forms(device: Device) -> dict[str, tuple[str | None, frozenset[str]]]:
    """Return the peers without what changes by itself."""
    return {key: (peer.endpoint, peer.allowed_ips) for key, peer in device.peers.items()}


@apart
async def test_foreign_interfaces_and_routes_stay(tmp_path: Path) -> None:
    """Also those through our own interface that do not carry our number."""
    async with node(tmp_path) as world, pair("theirs"):
        await ip("link", "set", "theirs", "up")
        await ip("address", "add", "198.51.100.1/24", "dev", "theirs")
        await ip("route", "add", "192.0.2.0/25", "dev", "theirs", "proto", "72")
        before = await ip("route", "show", "dev", "theirs")
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
            await ip("route", "add", "192.0.2.128/25", "dev", INTERFACE)
            world["south"].api.delete("Node", "", "n1")
            await world.until_peers("east/n1")

        assert await ip("route", "show", "dev", "theirs") == before
        assert "192.0.2.128/25" in await ip("route", "show", "dev", INTERFACE)


@apart
async def test_orphans_of_a_predecessor_are_swept_once_that_is_certain(tmp_path: Path) -> None:
    """While a cluster of the record was not heard, a peer that nobody announces may be its own."""
    async with node(tmp_path) as world:
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
        orphan = SetPeer(public_key=some_key(7), new=True, add=("10.99.1.0/24",))
        await UserspaceDevice(INTERFACE).apply([orphan])
        await ip("route", "add", "10.99.1.0/24", "dev", INTERFACE, "proto", "72")
        decide(world, admitted_ghost="2026-11-27T00:00:00Z 10.99.0.0/16")
        async with world.running():
            await eventually(lambda: world.agent.ready)
            world.add_node("east", "n2", 2)
            await eventually(lambda: world.agent.ready)

            async def has_n2() -> bool:
                return bool(await world.ranges("east", "n2"))

            await world.until(has_n2)
            assert some_key(7) in (await world.device()).peers
            assert "10.99.1.0/24" in await world.routes()

            decide(world, forgotten_ghost="2026-11-27T00:00:00Z")
            await world.until_peers("east/n1", "east/n2", "south/n1")
            assert "10.99.1.0/24" not in await world.routes()


def decide(world: Node, **entries: str) -> None:
    """Write entries into the ConfigMap 'clusterset', as people and programs do."""
    kept = world["west"].api.get("ConfigMap", "heliograph", "clusterset")
    assert kept is not None
    kept["data"] |= {name.replace("_", "."): text for name, text in entries.items()}
    world["west"].api.apply(kept)
