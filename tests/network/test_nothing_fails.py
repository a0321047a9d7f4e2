"""What may happen to programs and backends while requests cross, none of which fails for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from heliograph.lab.network import Cluster, Program
from heliograph.lab.network.mesh import Mesh
from tests.support.crossing import (
    answers_inside,
    asking,
    east,
    joined,
    serve,
    tunnel_address,
    west,
)
from tests.support.network import TWO_CLUSTERS, failed
from tests.support.stream import Stream, mirror

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Join two clusters of two nodes each."""
    with joined(TWO_CLUSTERS, tmp_path_factory.mktemp("laboratory")) as running:
        yield running


def is_back(agent: Program) -> bool:
    """Tell whether an agent that was stopped and started has heard everything anew."""
    return "replay confirmed" in agent.settings.log.read_text().rpartition('"stopping"')[2]


async def test_no_request_fails_while_agents_restart(mesh: Mesh) -> None:
    """Tunnels outlive the agents, which find everything as it should be when they are back."""
    await serve(east(mesh), "lasting")
    asker = await asking(west(mesh), "lasting")
    began = (await asker.next_ok()).at
    for name in ("w1", "e1", "e2"):
        agent = mesh.agents[name]
        agent.restart()
        await agent.until(functools.partial(is_back, agent), within_s=30)
        await asker.next_ok()
    for program in (mesh.watchers["east"], mesh.reflectors["west"]):
        program.restart()
        await asker.next_ok()
    asker.stop()

    assert failed(asker, began) == []


async def test_no_request_fails_while_each_bus_restarts(mesh: Mesh) -> None:
    """And what is exported after that is answered: the programs have found the bus again."""
    await serve(east(mesh), "steady")
    asker = await asking(west(mesh), "steady")
    began = (await asker.next_ok()).at
    for name in ("east", "west"):
        mesh.laboratory.clusters[name].nats.restart()
        app = f"after-{name}"
        await serve(east(mesh), app)
        (await asking(west(mesh), app)).stop()
        await asker.next_ok()
    asker.stop()

    assert failed(asker, began) == []


@pytest.mark.parametrize("mode", ["cluster-ip", "pods"])
async def test_no_request_fails_while_backends_move(mesh: Mesh, mode: str) -> None:
    """A rollout to the other node and back: the new pod is ready before the old one goes."""
    app = f"rolling-{mode}"
    await serve(east(mesh), app, node="e1", mode=mode)
    asker = await asking(west(mesh), app)
    began = (await asker.next_ok()).at
    for number, node in ((2, "e2"), (3, "e1")):
        await east(mesh).add_pod(f"{app}-{number}", node=node, labels={"app": app}, serves=8080)
        await east(mesh).remove_pod(f"{app}-{number - 1}")
        await asker.until(lambda seen, number=number: seen[-1].said == f"{app}-{number}")  # type: ignore[misc]
    asker.stop()

    assert failed(asker, began) == []


async def test_no_packet_is_lost_while_everything_is_set_anew(mesh: Mesh) -> None:
    """Agents restart, peers' lists change and change back, routes are put back: not one is lost."""
    await answers_inside(mesh, "e2")
    server = await mirror(east(mesh).node("e2"))
    stream = Stream(west(mesh).node("w1"), await tunnel_address(east(mesh), "e2"))
    for name in ("w1", "e2"):
        agent = mesh.agents[name]
        agent.restart()
        await agent.until(functools.partial(is_back, agent), within_s=30)
    await withdraw_and_announce(east(mesh), "e1", mesh.agents["w1"])
    seen = stream.stop()
    server.stop()

    assert seen.sent > 500
    assert seen.lost == []


async def withdraw_and_announce(cluster: Cluster, node: str, importing: Program) -> None:
    """Take away what an agent says of its node, which says it again; wait for an importer."""
    before = importing.settings.log.read_text().count("tunnels changed")
    removed = (f"heliograph.io/{name}-" for name in ("public-key", "endpoint", "tunnel-ip"))
    (await cluster.kubectl("annotate", "node", node, *removed)).text()

    def changed() -> bool:
        return importing.settings.log.read_text().count("tunnels changed") >= before + 2

    await importing.until(changed, within_s=30)
