"""What people and networks do to a node's tunnels: everything comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliograph.lab.network import Node, Outcome
from heliograph.lab.network.host import HELIOGRAPH
from heliograph.lab.network.mesh import Mesh
from tests.support.crossing import answers_inside, asking, east, joined, serve, west
from tests.support.network import TWO_CLUSTERS

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join two clusters of two nodes each."""
    with joined(TWO_CLUSTERS, tmp_path_factory.mktemp("laboratory")) as running:
        yield running


async def ip(node: Node, *arguments: str) -> str:
    """Return what the program ip says on a node."""
    return (await node.run(("ip", *arguments))).text()


async def mtu(node: Node) -> int:
    """Return the MTU of a node's tunnels."""
    words = (await ip(node, "-oneline", "link", "show", "dev", "heliograph0")).split()
    return int(words[words.index("mtu") + 1])


async def test_an_interface_that_somebody_deleted_is_made_again(mesh: Mesh) -> None:
    """With the node's key, so that nobody else has to change anything; requests go on."""
    await serve(east(mesh), "resilient")
    asker = await asking(west(mesh), "resilient")
    for node in (west(mesh).node("w1"), *east(mesh).nodes):
        await ip(node, "link", "delete", "heliograph0")
        await answers_inside(mesh, "e1")
        await answers_inside(mesh, "e2")
        await asker.next_ok()
    asker.stop()


async def test_routes_and_addresses_that_somebody_took_away_are_put_back(mesh: Mesh) -> None:
    """As soon as the kernel tells of it; a route of others through the interface stays."""
    await serve(east(mesh), "routed", mode="pods")
    asker = await asking(west(mesh), "routed")
    node = west(mesh).node("w1")
    before = await routes(node)
    await ip(node, "address", "flush", "dev", "heliograph0")  # the kernel drops all routes then
    await asker.next_ok()
    await ip(node, "route", "add", "192.0.2.0/24", "dev", "heliograph0")
    await ip(node, "route", "flush", "proto", "72")
    await asker.next_ok()
    asker.stop()

    while await routes(node) != before:
        pass  # each look takes its time, and the test has a limit
    assert await ip(node, "route", "show", "192.0.2.0/24") != ""


async def routes(node: Node) -> list[str]:
    """Return a node's routes that are ours."""
    return sorted((await ip(node, "route", "show", "proto", "72")).split("\n"))


async def test_the_tunnels_follow_the_mtu_of_the_network_below(mesh: Mesh) -> None:
    """It falls while they stand, and large requests still cross; then it rises again."""
    await serve(east(mesh), "narrow")
    (await asking(west(mesh), "narrow", node="w2")).stop()
    node, client = west(mesh).node("w2"), west(mesh).pod("narrow-client")
    assert await mtu(node) == 1420
    for below in (1400, 1500):
        await ip(node, "link", "set", "dev", "eth0", "mtu", str(below))
        while await mtu(node) != below - 80:
            pass  # each look takes its time, and the test has a limit
        moved = await client.transfer("http://narrow.default.svc.cluster.local/", 1_000_000)
        assert moved.text() == "fetched 1000000 bytes and sent 1000000\n"


async def test_the_tunnels_survive_a_node_without_default_route(mesh: Mesh) -> None:
    """Nothing gets out while it is gone; when it is back, requests go on without a restart."""
    await serve(east(mesh), "stranded")
    asker = await asking(west(mesh), "stranded")
    node, gateway = west(mesh).node("w1"), str(west(mesh).plan.gateway)
    await ip(node, "route", "delete", "default")
    await asker.until(lambda seen: not any(a.ok for a in seen[-2:]))
    await ip(node, "route", "add", "default", "via", gateway)
    await asker.next_ok()
    asker.stop()


async def test_an_agent_without_rights_says_which(mesh: Mesh) -> None:
    """Without CAP_NET_ADMIN: one sentence, exit code 2, and what stands is untouched."""
    node = west(mesh).node("w2")
    before = await ip(node, "address", "show", "dev", "heliograph0")
    flags = mesh.agent_flags(west(mesh), node)
    command = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    ended = await node.run((*command, HELIOGRAPH, "peerer", *flags))

    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.strip().split("\n")
    assert "CAP_NET_ADMIN" in line
    assert await ip(node, "address", "show", "dev", "heliograph0") == before


async def test_the_tunnels_follow_a_node_to_another_address(mesh: Mesh) -> None:
    """Its InternalIP changes as by DHCP: the endpoint is announced anew, and requests go on."""
    await serve(east(mesh), "nomad", node="e1", mode="pods")
    asker = await asking(west(mesh), "nomad")
    node, plan = east(mesh).node("e1"), east(mesh).plan
    fresh, old = plan.segment[77], node.address
    prefix = plan.segment.prefixlen
    await ip(node, "address", "delete", f"{old}/{prefix}", "dev", "eth0")
    await ip(node, "address", "add", f"{fresh}/{prefix}", "dev", "eth0")
    await ip(node, "route", "add", "default", "via", str(plan.gateway))
    await say_address(mesh, "e1", str(fresh))
    await asker.next_ok(within_s=60)
    asker.stop()
    while await endpoint(mesh, "e1") != f"{fresh}:51820":
        pass  # each look takes its time, and the test has a limit


async def endpoint(mesh: Mesh, node: str) -> str:
    """Return where the agent of a node of east says that it is reached."""
    annotation = r"{.metadata.annotations.heliograph\.io/endpoint}"
    said = await east(mesh).kubectl("get", "node", node, "--output", f"jsonpath={annotation}")
    return said.text()


async def say_address(mesh: Mesh, node: str, address: str) -> Outcome:
    """Say a node's InternalIP, as its kubelet would."""
    patch = f'{{"status":{{"addresses":[{{"type":"InternalIP","address":"{address}"}}]}}}}'
    return await east(mesh).kubectl(
        "patch", "node", node, "--subresource=status", "--type=merge", f"--patch={patch}"
    )
