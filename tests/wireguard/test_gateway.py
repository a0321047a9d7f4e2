"""The way back: rules, settings, and whether packets take it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heliograph.wireguard.errors import NoNftables
from heliograph.wireguard.gateway import Gateway
from tests.support.apart import apart, inside
from tests.support.networks import ip, pair, run

SERVICES = ("10.96.0.0/16", "fd96::/112")
RANGES = (*SERVICES, "10.244.0.0/16", "fd44::/48")

FOREIGN = """
table inet kube-proxy {
  chain forward { type filter hook forward priority 0; policy accept; counter accept; }
}
"""
DOCKER = """
table ip filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; iifname "docker0" accept; }
}
"""


async def ruleset() -> str:
    return await run("nft", "list", "ruleset")


@apart
async def test_twice_is_once() -> None:
    """The second time nothing is done, and the same stands."""
    async with pair("hg0"):
        gateway = Gateway("hg0")
        first = await gateway.ensure(SERVICES, RANGES)
        standing = await gateway.standing()
        second = await gateway.ensure(SERVICES, RANGES)

        assert first
        assert second == []
        assert await gateway.standing() == standing


@apart
async def test_what_others_have_stays() -> None:
    """Tables and rules of others are the same before, between and after."""
    async with pair("hg0"):
        await run("nft", "-f", "-", text=FOREIGN + DOCKER)
        before = await ruleset()
        gateway = Gateway("hg0")
        await gateway.ensure(SERVICES, RANGES)
        between = await ruleset()
        await gateway.remove()

        assert await ruleset() == before
        assert 'iifname "docker0" accept' in between
        assert "table inet kube-proxy" in between


@apart
async def test_a_chain_that_drops_lets_our_packets_pass() -> None:
    """Where FORWARD drops by policy, ours are accepted first; iptables still reads the chain."""
    async with pair("hg0"):
        await run("iptables", "-P", "FORWARD", "DROP")
        await run("iptables", "-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT")
        gateway = Gateway("hg0")
        first = await gateway.ensure(SERVICES, RANGES)
        again = await gateway.ensure(SERVICES, RANGES)
        listed = (await run("iptables", "-S", "FORWARD")).splitlines()
        await gateway.remove()
        left = (await run("iptables", "-S", "FORWARD")).splitlines()

    assert "rules of ours in ip filter FORWARD were changed" in first
    assert again == []
    assert [line.split(" -m ")[0] for line in listed[1:3]] == [
        "-A FORWARD -o hg0",
        "-A FORWARD -i hg0",
    ]
    assert left == ["-P FORWARD DROP", "-A FORWARD -i docker0 -j ACCEPT"]


@apart
async def test_a_chain_that_drops_no_longer_is_left_alone() -> None:
    """Our rules in FORWARD go when its policy accepts."""
    async with pair("hg0"):
        await run("iptables", "-P", "FORWARD", "DROP")
        gateway = Gateway("hg0")
        await gateway.ensure(SERVICES, RANGES)
        await run("iptables", "-P", "FORWARD", "ACCEPT")
        await gateway.ensure(SERVICES, RANGES)

        assert await run("iptables", "-S", "FORWARD") == "-P FORWARD ACCEPT\n"


@pytest.mark.parametrize(
    "damage",
    ["flush ruleset", "flush chain inet heliograph postrouting", "delete table inet heliograph"],
)
@apart
async def test_what_somebody_removed_comes_back(damage: str) -> None:
    """Our table is written again, whole, when any part of it is missing."""
    async with pair("hg0"):
        gateway = Gateway("hg0")
        await gateway.ensure(SERVICES, RANGES)
        whole = await run("nft", "list", "table", "inet", "heliograph")
        await run("nft", "-f", "-", text=damage)
        await gateway.ensure(SERVICES, RANGES)

        assert await run("nft", "list", "table", "inet", "heliograph") == whole


@apart
async def test_services_that_changed() -> None:
    """Another service range replaces the one before; none at all leaves no translation."""
    async with pair("hg0"):
        gateway = Gateway("hg0")
        await gateway.ensure(SERVICES, RANGES)
        await gateway.ensure(("10.97.0.0/16",), RANGES)
        other = await ruleset()
        await gateway.ensure((), RANGES)
        none = await ruleset()

    assert "10.97.0.0/16" in other
    assert "10.96.0.0/16" not in other
    assert "masquerade" not in none
    assert "maxseg" in none


@apart
async def test_nothing_to_remove() -> None:
    """Removing what does not stand is no error."""
    await Gateway("hg0").remove()


@apart
async def test_forwarding_is_set_and_said() -> None:
    """A kernel that does not forward is set to, and what was done is told, once."""
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    async with pair("hg0"):
        await run("sh", "-c", f"echo 0 > {forward}")
        gateway = Gateway("hg0")
        first = await gateway.ensure(SERVICES, RANGES)
        second = await gateway.ensure(SERVICES, RANGES)
        now = await run("cat", str(forward), "/proc/sys/net/ipv4/conf/hg0/rp_filter")

    assert any(line.startswith("net/ipv4/ip_forward was 0 and is 1 now") for line in first)
    assert second == []
    assert now == "1\n2\n"


@apart
async def test_a_cluster_without_ipv6_leaves_ipv6_alone() -> None:
    """Forwarding of IPv6 is not touched where no range is of IPv6."""
    forward = "/proc/sys/net/ipv6/conf/all/forwarding"
    async with pair("hg0"):
        before = await run("cat", forward)
        await Gateway("hg0").ensure(("10.96.0.0/16",), ("10.96.0.0/16",))

        assert await run("cat", forward) == before


@apart
async def test_no_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program, one sentence says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NoNftables, match="install nftables"):
        await Gateway("hg0").standing()


@asynccontextmanager
async def far_and_pod() -> AsyncIterator[None]:
    """Put a far client behind hg0, and a pod on another node, with kube-proxy's translation here.

    The pod's node has no way back to the client but through this one's own address: as where it
    would answer by a tunnel of its own.
    """
    for name, near, far in (("far", "hg0", "eth0"), ("pod", "node0", "eth0")):
        await ip("netns", "add", name)
        await ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        await ip("link", "set", near, "up")
        await ip("-n", name, "link", "set", far, "up")
    for command in (
        "address add 100.64.0.1/24 dev hg0",
        "address add fd64::1/64 dev hg0 nodad",
        "-n far address add 100.64.0.2/24 dev eth0",
        "-n far address add fd64::2/64 dev eth0 nodad",
        "-n far route add 10.0.0.0/8 via 100.64.0.1",
        "-n far route add fd00::/8 via fd64::1",
        "address add 10.244.1.1/24 dev node0",
        "address add fd44::1/64 dev node0 nodad",
        "-n pod address add 10.244.1.5/24 dev eth0",
        "-n pod address add fd44::5/64 dev eth0 nodad",
    ):
        await ip(*command.split())
    await run("nft", "-f", "-", text=TRANSLATION)
    yield


TRANSLATION = """
table inet kube-proxy {
  chain services {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr 10.96.0.10 tcp dport 80 dnat ip to 10.244.1.5:8080
    ip6 daddr fd96::10 tcp dport 80 dnat ip6 to [fd44::5]:8080
  }
}
"""


async def serve(ready: asyncio.Event, loop: asyncio.AbstractEventLoop) -> tuple[str, int]:
    """Accept one connection in the pod; return whom it comes from, and its segment size."""
    with socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        server.setblocking(False)  # noqa: FBT003 - positional only
        loop.call_soon_threadsafe(ready.set)
        connection, peer = await asyncio.get_running_loop().sock_accept(server)
        with connection:
            connection.sendall(b"hello")
            size = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    return str(peer[0]).removeprefix("::ffff:"), size


async def request(address: str, port: int) -> bytes:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address, port)
        said = await reader.read()
        writer.close()
    return said


async def answered(address: str, port: int) -> tuple[bytes, str, int]:
    """Let the far client ask; return what it got, and whom the pod saw."""
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = asyncio.create_task(inside("pod", lambda: serve(ready, loop)))
    await ready.wait()
    said = await inside("far", lambda: request(address, port))
    return said, *(await server)


@pytest.mark.parametrize(
    ("service", "node"),
    [("10.96.0.10", "10.244.1.1"), ("fd96::10", "fd44::1")],
    ids=["IPv4", "IPv6"],
)
@apart
async def test_an_answer_from_another_node_comes_back(service: str, node: str) -> None:
    """A request through the tunnel to a Service reaches the pod from this node's own address."""
    async with far_and_pod():
        await Gateway("hg0").ensure(SERVICES, RANGES)
        said, seen, _ = await answered(service, 80)

    assert said == b"hello"
    assert seen == node


@pytest.mark.parametrize(
    ("pod", "far"), [("10.244.1.5", "100.64.0.2"), ("fd44::5", "fd64::2")], ids=["IPv4", "IPv6"]
)
@apart
async def test_pods_see_who_asks_them_directly(pod: str, far: str) -> None:
    """A request to a pod, not to a Service, is not translated."""
    async with far_and_pod():
        await ip("-n", "pod", "route", "add", "100.64.0.0/24", "via", "10.244.1.1")
        await ip("-n", "pod", "route", "add", "fd64::/64", "via", "fd44::1")
        await Gateway("hg0").ensure(SERVICES, RANGES)
        said, seen, _ = await answered(pod, 8080)

    assert (said, seen) == (b"hello", far)


@apart
async def test_segments_fit_the_tunnel() -> None:
    """A client that offers segments of Ethernet's size gets those of the tunnel's MTU."""
    async with far_and_pod():
        await ip("link", "set", "hg0", "mtu", "1380")
        await Gateway("hg0").ensure(SERVICES, RANGES)
        _, _, size = await answered("10.96.0.10", 80)

    assert 1200 < size <= 1340
