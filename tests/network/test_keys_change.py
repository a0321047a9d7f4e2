"""New keys for tunnels that carry traffic, with real packets: `heliograph rotate-keys`."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.lab.network import Asker, Cluster, ClusterSpec, LaboratorySpec, NodeSpec, Program
from heliograph.lab.network.host import Outcome
from heliograph.lab.network.mesh import LISTEN, Mesh
from heliograph.lab.network.tools import nft
from heliograph.wireguard import keyfile
from tests.support.mesh import running_mesh
from tests.support.network import (
    failed,
    require_network,
    running_laboratory,
)
from tests.support.planes import built_binary

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels: {{heliograph.io/export: "true"}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
CLUSTERS = LaboratorySpec(
    clusters=(
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1"), NodeSpec(name="w2", nat=True))),
        ClusterSpec(name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2"))),
    ),
)
_SLOWLY = """\
import pathlib, sys, time, urllib.request
url, count, hurry = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
got = 0
with urllib.request.urlopen(f"{url}bytes/{count}", timeout=20) as answer:
    while part := answer.read(16384):
        got += len(part)
        print(got, flush=True)
        time.sleep(0 if hurry.exists() else 0.02)
print("fetched", got, flush=True)
"""
COUNT = 60_000_000
"""Bytes that take longer than any test; once it has seen enough, it lets them hurry."""

METRICS = f"http://{LISTEN}/metrics"
_FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"

NO_HANDSHAKES = """\
table inet cut {
  chain in { type filter hook input priority 0; udp dport 51820 @th,64,8 { 1, 2 } drop; }
  chain out { type filter hook output priority 0; udp sport 51820 @th,64,8 { 1, 2 } drop; }
}
"""
"""Lets handshakes of a node vanish, by the first byte of a packet; sessions that stand go on."""

_TELL_KEYS = """\
import asyncio
from heliograph.wireguard.userspace import UserspaceDevice, is_userspace
async def main():
    if await is_userspace("heliograph0"):
        return await UserspaceDevice("heliograph0").read()
    from heliograph.wireguard.kernel import KernelDevice
    return await KernelDevice("heliograph0").read()
device = asyncio.run(main())
print(device.public_key, *device.peers)
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join two clusters of two nodes each; w2 is behind NAT, and nobody can call it first."""
    require_network()
    built_binary()
    folder = tmp_path_factory.mktemp("laboratory")
    with (
        running_laboratory(CLUSTERS, folder) as laboratory,
        running_mesh(laboratory, roaming=("w2",)) as running,
    ):
        yield running


def cluster(mesh: Mesh, name: str) -> Cluster:
    return mesh.laboratory.clusters[name]


async def asking(mesh: Mesh, app: str) -> Asker:
    """Serve an app in east and let a pod in west ask for it, until it is answered once."""
    east, west = cluster(mesh, "east"), cluster(mesh, "west")
    (await east.kubectl("apply", "--filename=-", stdin=SERVICE.format(name=app))).text()
    await east.add_pod(f"{app}-1", node="e2", labels={"app": app}, serves=8080)
    client = await west.add_pod(f"{app}-client", node="w1")
    asker = client.ask(f"http://{app}.default.svc.cluster.local/", timeout_s=5.0)
    await asker.next_ok(within_s=60)
    return asker


async def rotate(where: Cluster, *arguments: str) -> Outcome:
    """Run `heliograph rotate-keys`, as a person would."""
    command = Path(sysconfig.get_path("scripts")) / "heliograph"
    flags = ("--kubeconfig", where.kubeconfig)
    return await where.control_plane.run(
        (command, "rotate-keys", *arguments, *flags), timeout_s=120
    )


def key_of(where: Cluster, node: str) -> str:
    """Return the public key of the file that a node's agent keeps."""
    found = keyfile.load(key_file(where, node))
    assert found is not None
    return found.public


def key_file(where: Cluster, node: str) -> Path:
    return where.node(node).folder / "wireguard.key"


async def device_keys(where: Cluster, node: str) -> set[str]:
    """Return all public keys on a node's device: its own, and those of its peers."""
    outcome = await where.node(node).run((sys.executable, "-c", _TELL_KEYS))
    return set(outcome.text().split())


async def keys_everywhere(mesh: Mesh) -> set[str]:
    """Return all public keys on all devices, and all that Nodes announce."""
    found = set[str]()
    for where in mesh.laboratory.clusters.values():
        for node in where.nodes:
            found |= await device_keys(where, node.node)
        for said in (await annotations(where)).values():
            found |= {text for name, text in said.items() if name.endswith("public-key")}
    return found


async def annotations(where: Cluster) -> dict[str, dict[str, str]]:
    """Return the annotations of each Node."""
    nodes = json.loads((await where.kubectl("get", "nodes", "--output=json")).text())["items"]
    return {node["metadata"]["name"]: node["metadata"]["annotations"] for node in nodes}


async def nowhere(mesh: Mesh, *keys: str) -> None:
    """Wait until keys are on no device, and no Node announces them: others hear of it in time."""
    async with asyncio.timeout(90):
        while set(keys) & await keys_everywhere(mesh):
            pass  # looking takes its time


def left_files(where: Cluster, node: str) -> dict[str, int]:
    """Return the files that hold a node's keys, with their modes."""
    folder = where.node(node).folder
    return {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.glob("wireguard.key*")}


async def transfer(mesh: Mesh, app: str) -> Transfer:
    """Begin a transfer from the app in east to a pod in west, on the node behind NAT."""
    pod = await cluster(mesh, "west").add_pod(f"{app}-fetcher", node="w2")
    hurry = pod.folder / "hurry"
    url = f"http://{app}.default.svc.cluster.local/"
    arguments = (sys.executable, "-I", "-c", _SLOWLY, url, str(COUNT), hurry)
    program = pod.spawn(arguments, name="transfer")
    await program.until(lambda: program.settings.log.stat().st_size > 0, within_s=20)
    return Transfer(program, hurry)


class Transfer:
    """A transfer that is under way."""

    def __init__(self, program: Program, hurry: Path) -> None:
        self.program, self._hurry = program, hurry

    async def finish(self) -> str:
        """Let it hurry, and return what it says at its end."""
        assert self.program.running
        self._hurry.touch()
        text = self.program.settings.log.read_text
        await self.program.until(lambda: "fetched" in text(), within_s=60)
        return text().splitlines()[-1]


async def tunnels(where: Cluster) -> list[tuple[str, str, str]]:
    """Return node, peer and state of each tunnel of a cluster, as `heliograph peers` shows them."""
    command = Path(sysconfig.get_path("scripts")) / "heliograph"
    flags = (f"--cluster={where.name}", f"--nats={where.nats_url}", "--output=json")
    shown = await where.control_plane.run((command, "peers", *flags))
    return [
        (one["node"], f"{tunnel['exporting']}/{tunnel['peer']}", tunnel["state"])
        for one in json.loads(shown.stdout or '{"nodes": []}')["nodes"]
        for tunnel in one["tunnels"]
    ]


async def all_answer(mesh: Mesh) -> None:
    """Wait until every node answers every node of the other cluster, by what agents say."""
    async with asyncio.timeout(90):
        for where in mesh.laboratory.clusters.values():
            states: list[str] = []
            while states != ["answering"] * 4:
                states = [state for _, _, state in await tunnels(where)]


async def test_traffic_goes_on_while_both_sides_change_keys(mesh: Mesh) -> None:
    """All nodes of the exporting cluster, then of the importing one; old keys are nowhere."""
    east, west = cluster(mesh, "east"), cluster(mesh, "west")
    await all_answer(mesh)
    asker = await asking(mesh, "lasting")
    moving = await transfer(mesh, "lasting")
    old = {where.name + node: key_of(where, node) for where, node in changing(east, west)}
    began = (await asker.next_ok()).at

    exporting = await rotate(east)
    importing = await rotate(west)

    assert exporting.text().splitlines()[-1] == "2 nodes changed keys: e1, e2"
    assert "node w2: node west/w2 has a new key" in importing.text()
    await asker.next_ok()
    asker.stop()
    assert await moving.finish() == f"fetched {COUNT}"
    assert failed(asker, began) == []
    for where, node in changing(east, west):
        assert key_of(where, node) != old[where.name + node]
        assert left_files(where, node) == {"wireguard.key": 0o600}
    await nowhere(mesh, *old.values())
    assert key_of(east, "e1") in await device_keys(west, "w2")


def changing(east: Cluster, west: Cluster) -> tuple[tuple[Cluster, str], ...]:
    """Return the nodes that change keys."""
    return ((east, "e1"), (east, "e2"), (west, "w1"), (west, "w2"))


async def test_all_nodes_change_keys_at_once(mesh: Mesh) -> None:
    """Of two with a tunnel between them one goes first, and traffic goes on."""
    east, west = cluster(mesh, "east"), cluster(mesh, "west")
    await all_answer(mesh)
    asker = await asking(mesh, "both")
    old = [key_of(where, node) for where, node in changing(east, west)]
    began = (await asker.next_ok()).at

    outcomes = await asyncio.gather(*(rotate(*one) for one in changing(east, west)))

    assert [one.exit_code for one in outcomes] == [0] * 4, [one.stderr for one in outcomes]
    await nowhere(mesh, *old)
    await asker.next_ok()
    asker.stop()
    assert failed(asker, began) == []


async def test_who_does_not_prepare_is_named_and_nothing_changes(mesh: Mesh) -> None:
    """An agent is stopped, while its tunnel goes on: cutting it off would lose its packets."""
    east, west = cluster(mesh, "east"), cluster(mesh, "west")
    await all_answer(mesh)
    asker = await asking(mesh, "kept")
    key, began = key_of(east, "e1"), (await asker.next_ok()).at
    mesh.agents["w2"].stop()

    outcome = await rotate(east, "e1", "--within-s", "6")

    assert outcome.exit_code == 1
    assert (
        "heliograph: node east/e1 keeps its key: node west/w2 did not prepare for the next one "
        "within 6 s. Look whether its agent runs and reaches the bus"
    ) in outcome.stderr
    said = (await annotations(east))["e1"]
    assert (said["heliograph.io/public-key"], key_of(east, "e1")) == (key, key)
    assert "heliograph.io/next-public-key" not in said
    assert "heliograph.io/rotate-keys" not in said
    await asker.until(lambda _: left_files(east, "e1") == {"wireguard.key": 0o600})
    assert key in await device_keys(west, "w1")
    await asker.next_ok()
    asker.stop()
    mesh.agents["w2"].start()
    assert failed(asker, began) == []


async def test_an_agent_that_is_started_anew_goes_on(mesh: Mesh) -> None:
    """Killed while others prepare, it finds its next key, and changes to that one."""
    east, agent = cluster(mesh, "east"), mesh.agents["e1"]
    await all_answer(mesh)
    key = key_of(east, "e1")
    mesh.agents["w2"].stop()
    rotating = asyncio.ensure_future(rotate(east, "e1", "--within-s", "90"))
    next_file = keyfile.next_to(key_file(east, "e1"))
    await agent.until(next_file.exists, within_s=20)
    following = keyfile.load(next_file)
    agent.kill()
    agent.start()
    mesh.agents["w2"].start()
    outcome = await rotating

    assert outcome.exit_code == 0, outcome.stderr
    assert following is not None
    assert key_of(east, "e1") == following.public
    await nowhere(mesh, key)


async def test_an_agent_that_ends_while_it_tries_goes_on(mesh: Mesh) -> None:
    """The device has the next key already: whoever comes after asks who answers, and keeps it."""
    east, agent = cluster(mesh, "east"), mesh.agents["e2"]
    await all_answer(mesh)
    key, logged = key_of(east, "e2"), agent.settings.log.read_text
    before = len(logged())
    await nft(east.node("e2"), NO_HANDSHAKES)  # so that nobody answers before it is killed
    rotating = asyncio.ensure_future(rotate(east, "e2"))
    await agent.until(lambda: "uses its next key, and calls" in logged()[before:], within_s=30)
    agent.kill()
    await nft(east.node("e2"), "delete table inet cut")
    agent.start()
    outcome = await rotating

    assert outcome.exit_code == 0, outcome.stderr
    assert "uses its next key already, and goes on after a restart" in outcome.stdout
    await nowhere(mesh, key)


async def test_when_nobody_answers_the_present_key_is_back(mesh: Mesh) -> None:
    """All are prepared, but no handshake passes any more: the node goes back, and says so."""
    east, agent = cluster(mesh, "east"), mesh.agents["e1"]
    await all_answer(mesh)
    key = key_of(east, "e1")
    mesh.agents["w2"].stop()
    rotating = asyncio.ensure_future(rotate(east, "e1", "--within-s", "90"))
    await agent.until(keyfile.next_to(key_file(east, "e1")).exists, within_s=20)
    await nft(east.node("e1"), NO_HANDSHAKES)
    mesh.agents["w2"].start()
    outcome = await rotating
    await nft(east.node("e1"), "delete table inet cut")

    assert outcome.exit_code == 1
    assert "node east/e1 keeps its key: nobody answered the next one within 20 s" in outcome.stderr
    assert key_of(east, "e1") == key
    await agent.until(lambda: left_files(east, "e1") == {"wireguard.key": 0o600}, within_s=20)
    assert key in await device_keys(east, "e1")
    asker = await asking(mesh, "back")
    asker.stop()


async def test_a_person_sees_all_tunnels_and_prometheus_too(mesh: Mesh) -> None:
    """From a host of the cluster: each node of west answers, and has a tunnel to each of east."""
    west = cluster(mesh, "west")
    await all_answer(mesh)
    assert [(node, peer) for node, peer, _ in await tunnels(west)] == [
        (node, peer) for node in ("w1", "w2") for peer in ("east/e1", "east/e2")
    ]

    page = await west.node("w1").run((sys.executable, "-I", "-c", _FETCH, METRICS))
    received = r'heliograph_tunnel_received_bytes_total{exporting="east",node="e1"} ([0-9.e+]+)'
    (count,) = re.findall(received, page.text())
    assert float(count) > 0
