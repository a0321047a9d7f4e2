"""What an agent does about trouble: it tells each in one sentence, and tries again."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from heliograph.errors import InputError
from heliograph.resolve import Resolver
from heliograph.run.agents import Mode
from heliograph.wireguard.applier import Applier
from heliograph.wireguard.device import DeviceChange
from heliograph.wireguard.gateway import Gateway
from services.peerer.wireguard import agent, announcing
from tests.support.agents import INTERFACE, NODE, Node, node
from tests.support.apart import apart
from tests.support.joined import eventually
from tests.support.networks import ip, pair
from tests.support.peering import key_of
from tests.support.wireguard import SOCKETS, gone, stop

pytestmark = [pytest.mark.nats, pytest.mark.real]


def sentences(world: Node, event: str) -> set[str]:
    """Return what was told of a kind of trouble, each a line."""
    told = {entry["error"] for entry in world.logged(event)}
    assert all("\n" not in text and "Traceback" not in text for text in told)
    return told


@apart
async def test_a_foreign_route_in_the_way_of_one_cluster(tmp_path: Path) -> None:
    """It is left, and named; other clusters' peers and routes are set, and peers are looked at."""
    async with node(tmp_path) as world, pair("theirs"):
        await ip("link", "set", "theirs", "up")
        await ip("route", "add", "10.43.1.0/24", "dev", "theirs")
        async with world.running(ready=False):
            await world.until_peers("east/n1", "south/n1")
            await eventually(lambda: sentences(world, "tunnels deferred"))
            (told,) = sentences(world, "tunnels deferred")
            assert "adding the route to 10.43.1.0/24" in told
            assert "a route by theirs" in told
            assert "Remove that route" in told
            assert not world.agent.ready
            assert {"10.44.1.0/24", "100.64.32.1/32", "10.112.0.0/16"} <= await world.routes()
            age, labels = "heliograph_tunnel_handshake_age_seconds", {"node": "n1"}
            for times in (2, 3, 4):
                await eventually(lambda times=times: len(world.logged("tunnels deferred")) > times)  # type: ignore[misc]
                for exporting in ("east", "south"):
                    found = world.metrics.registry.get_sample_value(
                        age, labels | {"exporting": exporting}
                    )
                    assert found == math.inf  # looked at, and no handshake so far

            await ip("route", "del", "10.43.1.0/24", "dev", "theirs")
            await eventually(lambda: world.agent.ready)
            assert "10.43.1.0/24" in await world.routes()


REFUSALS = {
    "no room": (errno.ENOBUFS, "No buffer space available (ENOBUFS)"),
    "no time": (errno.EBUSY, "Device or resource busy (EBUSY)"),
    "no right": (errno.EPERM, "Operation not permitted. Networks of this machine are changed by"),
}


@pytest.mark.parametrize(("number", "said"), REFUSALS.values(), ids=REFUSALS)
@apart
async def test_a_device_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    """One sentence says what was refused; it is tried again until it is done."""
    refusing, apply = [True], Applier.apply

    async def refuse(self: Applier, changes: Sequence[DeviceChange]) -> int:
        return number if refusing[0] else await apply(self, changes)

    monkeypatch.setattr(Applier, "apply", refuse)
    async with node(tmp_path) as world, world.running(ready=False):
        await eventually(lambda: len(world.logged("tunnels deferred")) > 1)
        (told,) = sentences(world, "tunnels deferred")
        assert f"the program of tunnel {INTERFACE} refused a request: {said}" in told
        assert world.metrics.registry.get_sample_value("heliograph_retries") != 0

        refusing[0] = False
        await eventually(lambda: world.agent.ready)
        await world.until_peers("east/n1", "south/n1")


@apart
async def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    """The agent says so and waits; once that one ended, the tunnels are there."""
    async with node(tmp_path) as world:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", 51820))  # noqa: S104 - as programs of others do
            async with world.running(ready=False):
                await eventually(lambda: sentences(world, "tunnels deferred"))
                (told,) = sentences(world, "tunnels deferred")
                assert "UDP port 51820" in told
                assert "EADDRINUSE" in told
                other.close()
                await eventually(lambda: world.agent.ready)
                await world.until_peers("east/n1", "south/n1")
                assert (await world.device()).listen_port == 51820


def take_ipv6_away() -> None:
    """Let no interface of this thread's network have IPv6, also those that come."""
    for which in ("all", "default"):
        path = Path("/proc/sys/net/ipv6/conf", which, "disable_ipv6")
        path.write_text("1", encoding="ascii")


@apart
async def test_a_machine_without_ipv6(tmp_path: Path) -> None:
    """Ranges of IPv6 stay without routes there, and nothing waits for them."""
    take_ipv6_away()
    async with node(tmp_path, "east", watchers=False) as world:
        for name in ("west", "east"):
            at = world[name].number
            world.lab.watching = {"pod_cidrs": (f"10.{42 + at}.0.0/16", f"fd42:{at + 1}::/32")}
            await world.admit(name)
        world.add_node("east", "n6", 6, pod_cidr="fd42:2:6::/64")
        async with world.running():
            await world.until_peers("east/n1", "east/n6")
            assert await world.ranges("east", "n6") >= {"fd42:2:6::/64", "100.64.16.6/32"}
            assert {"10.43.1.0/24", "100.64.16.6/32"} <= await world.routes()
            assert not world.logged("tunnels deferred")


@apart
async def test_a_machine_without_wireguard(tmp_path: Path) -> None:
    """The agent ends with a sentence that says what to install."""
    async with node(tmp_path, "east") as world:
        with pytest.raises(InputError, match=r"no-such: there is no such program.*install"):
            async with world.running(userspace="no-such"):
                pass


@apart
async def test_a_node_that_is_missing(tmp_path: Path) -> None:
    """It is named and waited for; as soon as it is there, it is announced."""
    async with node(tmp_path) as world:
        world["west"].api.delete("Node", "", NODE)
        async with world.running(ready=False):
            await eventually(lambda: sentences(world, "no such node"))
            (told,) = sentences(world, "no such node")
            assert "cluster west has no Node w1" in told
            assert "See --node." in told
            assert not world.agent.ready

            world.add_node("west", NODE, public_key=None, endpoint=None, tunnel_ip=None)
            await eventually(lambda: world.agent.ready)
            assert "heliograph.io/public-key" in world.annotations()
            await world.until_peers("east/n1", "south/n1")


@apart
async def test_a_missing_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers are set though the Node cannot be annotated; a sentence says which right is missing."""
    monkeypatch.setattr(announcing, "_MISSING_RIGHT_S", 0.2)
    async with node(tmp_path) as world, world.proxied() as proxy:
        proxy.refuse(403, verbs={"patch"}, message="nodes is forbidden")
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
            await eventually(lambda: sentences(world, "node cannot be annotated"))
            (told,) = sentences(world, "node cannot be annotated")
            assert "nodes" in told
            assert "west" in told
            assert world.annotations() == {}

            proxy.heal()
            await eventually(lambda: "heliograph.io/public-key" in world.annotations())


@apart
async def test_an_api_server_that_is_away_for_a_moment(tmp_path: Path) -> None:
    """What is to be said is said as soon as it is back; peers are set meanwhile."""
    async with node(tmp_path) as world, world.proxied() as proxy:
        proxy.refuse(503, verbs={"patch"})
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
            await eventually(lambda: world.logged("node not annotated yet"))
            assert not world.logged("node cannot be annotated")

            proxy.heal()
            await eventually(lambda: "heliograph.io/public-key" in world.annotations())


@apart
async def test_a_program_of_the_tunnel_that_ended(tmp_path: Path) -> None:
    """It is started again, and everything is as it was."""
    async with node(tmp_path) as world, world.running():
        await world.until_peers("east/n1", "south/n1")
        routes, key = await world.routes(), (await world.device()).public_key
        await stop(INTERFACE)

        async def stands() -> bool:
            return await world.routes() == routes and (await world.device()).public_key == key

        await world.until(stands)
        await world.until_peers("east/n1", "south/n1")


NAMES = {
    "it resolves": (("203.0.113.50",), "203.0.113.50:51820"),
    "it does not": ((), None),
    "at this machine": (("127.0.0.1",), None),
    "in our tunnels": (("10.43.1.9",), None),
}


@pytest.mark.parametrize(("addresses", "endpoint"), NAMES.values(), ids=NAMES)
@apart
async def test_an_endpoint_that_is_a_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    addresses: tuple[str, ...],
    endpoint: str | None,
) -> None:
    """The peer is reached where the name leads, unless that is no use; nobody waits for it."""
    asked: list[str] = []

    async def look_up(host: str) -> tuple[str, ...]:
        asked.append(host)
        return addresses

    monkeypatch.setattr(agent, "Resolver", partial(Resolver, look_up=look_up))
    async with node(tmp_path) as world:
        world.add_node("east", "n2", 2, endpoint="n2.east.example:51820")
        async with world.running():
            await world.until_peers("east/n1", "east/n2", "south/n1")
            await eventually(lambda: asked == ["n2.east.example"])
            world.add_node("east", "n3", 3)  # what comes of the answer comes before
            await world.until_peers("east/n1", "east/n2", "east/n3", "south/n1")

            assert (await world.device()).peers[key_of("east/n2")].endpoint == endpoint


@apart
async def test_annotations_that_somebody_changed(tmp_path: Path) -> None:
    """Whatever is written there, they are as they were; what cannot be read stops nobody."""
    async with node(tmp_path) as world, world.running():
        await world.until_peers("east/n1", "south/n1")
        before = world.annotations()
        own = world["west"].api.get("Node", "", NODE)
        assert own is not None
        own["metadata"]["annotations"] |= {
            "heliograph.io/tunnel-ip": "router",
            "heliograph.io/public-key": "mine",
            "heliograph.io/endpoint": "",
        }
        world["west"].api.apply(own)
        await eventually(lambda: world.annotations() == before)


@apart
async def test_an_address_that_an_earlier_name_has(tmp_path: Path) -> None:
    """The node takes another one: on the interface, as source of its routes, and on its Node."""
    async with node(tmp_path) as world, world.running():
        await world.until_peers("east/n1", "south/n1")
        before = world.annotations()["heliograph.io/tunnel-ip"]
        world.add_node("west", "a1", 9, tunnel_ip=before)
        await eventually(lambda: world.annotations()["heliograph.io/tunnel-ip"] != before)
        own = world.annotations()["heliograph.io/tunnel-ip"].partition("/")[0]

        async def moved() -> bool:
            found = await world.interface()
            return found is not None and (
                found.addresses == {f"{own}/32"} and {r.source for r in found.routes} == {own}
            )

        await world.until(moved)


STRANGE = {
    "pods of another cluster": {"pod_cidr": "10.43.1.0/24"},
    "an endpoint at this machine": {"endpoint": "127.0.0.1:51820"},
    "an endpoint in our tunnels": {"endpoint": "10.43.1.9:51820"},
}


@pytest.mark.parametrize("fields", STRANGE.values(), ids=STRANGE)
@apart
async def test_a_malformed_node_of_one_cluster(tmp_path: Path, fields: dict[str, str]) -> None:
    """It is refused in a sentence; the other nodes of its cluster and of others are peers."""
    async with node(tmp_path) as world, world.running():
        world.add_node("south", "bad", 7, **fields)
        world.add_node("east", "n2", 2)
        await eventually(lambda: sentences(world, "not peered with"))
        (told,) = sentences(world, "not peered with")

        assert told.startswith("node bad of cluster south announces")
        await world.until_peers("east/n1", "east/n2", "south/n1")
        await eventually(lambda: world.agent.ready)


@apart
async def test_once(tmp_path: Path) -> None:
    """With --once the program ends when all is as it should be, and the tunnels stay."""
    async with node(tmp_path) as world:
        async with asyncio.timeout(100):
            await world.command(Mode(once=True))

        await world.until_peers("east/n1", "south/n1")
        assert "heliograph.io/public-key" in world.annotations()


@apart
async def test_everything_is_taken_away(tmp_path: Path) -> None:
    """With --remove no annotation, tunnel, program, rule or key is left; also the second time."""
    async with node(tmp_path) as world:
        async with world.running():
            await world.until_peers("east/n1", "south/n1")
        for _ in range(2):
            await world.command(Mode(remove=True))

            assert world.annotations() == {}
            assert await world.interface() is None
            await gone(SOCKETS / f"{INTERFACE}.sock")
            assert await Gateway(INTERFACE).standing() is None
            assert not (tmp_path / "wireguard.key").exists()
        world["west"].api.delete("Node", "", NODE)
        await world.command(Mode(remove=True))
