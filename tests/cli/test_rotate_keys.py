"""`heliograph rotate-keys` asks node after node, and tells how it goes; agents do the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from heliograph.bus.background import alongside
from heliograph.cli import rotation
from heliograph.cli.app import run
from heliograph.cli.rotation import NotRotated, rotate_keys
from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from services.peerer.wireguard.rotation import Report, Stage
from tests.bus.support import eventually
from tests.support.builders import KEY

ROTATE, REPORT = "heliograph.io/rotate-keys", "heliograph.io/key-rotation"
OURS = {"heliograph.io/public-key": KEY}
Answer = Callable[[str], Sequence[tuple[Stage, str]]]


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Run a cluster with two nodes of ours, one with Kilo, and one with nothing."""
    async with MemoryCluster(MemoryClusterSettings(name="west")) as running:
        for name, said in {
            "w2": OURS,
            "w1": OURS,
            "kilo": {**OURS, "kilo.squat.ai/key": KEY},
            "none": {},
        }.items():
            metadata = {"name": name, "annotations": said}
            running.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        yield running


@pytest.fixture
async def client(cluster: MemoryCluster, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """Give a person's access to it."""
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, [cluster.access])
    async with KubeClient("", Kubeconfig.parse(str(path))) as made:
        yield made


def said(cluster: MemoryCluster, name: str) -> dict[str, str]:
    """Return the annotations of a Node."""
    node = cluster.get("Node", "", name)
    assert node is not None
    return dict(node["metadata"].get("annotations", {}))


def say(cluster: MemoryCluster, name: str, report: Report, *, answered: bool) -> None:
    """Let a Node say how it goes, as its agent does: the end together with the request's."""
    annotations = said(cluster, name) | {REPORT: msgspec.json.encode(report).decode()}
    if answered:
        del annotations[ROTATE]
    metadata = {"name": name, "annotations": annotations}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep what the command prints."""
    lines: list[str] = []
    monkeypatch.setattr(rotation, "_print", lines.append)
    return lines


async def agents(cluster: MemoryCluster, printed: list[str], answer: Answer) -> None:
    """Answer one request on each Node; each step once the one before it was told."""
    for name in ("w1", "w2"):
        await eventually(lambda name=name: ROTATE in said(cluster, name))  # type: ignore[misc]
        asked = said(cluster, name)[ROTATE]
        for stage, text in answer(name):
            report = Report(asked=asked, stage=stage, said=text)
            say(cluster, name, report, answered=stage in {Stage.DONE, Stage.FAILED})
            await eventually(lambda name=name, text=text: f"node {name}: {text}" in printed)  # type: ignore[misc]


def well(name: str) -> Sequence[tuple[Stage, str]]:
    """Answer that all goes well."""
    return (Stage.TRYING, f"{name} tries"), (Stage.DONE, f"{name} is done")


async def test_all_nodes_change_keys_one_after_another(
    cluster: MemoryCluster, client: KubeClient, printed: list[str]
) -> None:
    """Those with an agent of ours, in the order of their names; each step is told once."""
    async with alongside(agents(cluster, printed, well)):
        done = await rotate_keys(client, None, within_s=60)

    assert done == "2 nodes changed keys: w1, w2"
    assert printed == [
        line
        for name in ("w1", "w2")
        for line in (
            f"node {name}: asked for a new key",
            f"node {name}: {name} tries",
            f"node {name}: {name} is done",
        )
    ]
    assert all(ROTATE not in said(cluster, name) for name in ("w1", "w2", "kilo", "none"))


async def test_the_first_that_fails_ends_it(
    cluster: MemoryCluster, client: KubeClient, printed: list[str]
) -> None:
    """Something may be wrong with all: the others are not begun, and are named."""

    def badly(_: str) -> Sequence[tuple[Stage, str]]:
        return ((Stage.FAILED, "node west/w1 keeps its key: so it is"),)

    async with alongside(agents(cluster, printed, badly)):
        with pytest.raises(NotRotated) as raised:
            await rotate_keys(client, None, within_s=60)
    assert str(raised.value) == "node west/w1 keeps its key: so it is. Not begun: w2"
    assert REPORT not in said(cluster, "w2")


async def test_an_agent_that_does_not_begin_is_not_asked_any_more(
    cluster: MemoryCluster, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would else change its key on the day on which somebody starts it."""
    monkeypatch.setattr(rotation, "_BEGIN_S", 0.5)
    with pytest.raises(NotRotated, match="agent of node w1 did not begin within"):
        await rotate_keys(client, "w1", within_s=60)
    assert ROTATE not in said(cluster, "w1")


async def test_an_agent_that_does_not_end_is_left_to_itself(
    cluster: MemoryCluster,
    client: KubeClient,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The request stands: the agent, when it is back, knows how far it came."""
    for name in ("TRY_S", "SETTLE_S", "HELD_S", "_SLACK_S"):
        monkeypatch.setattr(rotation, name, 0.0)

    def slowly(_: str) -> Sequence[tuple[Stage, str]]:
        return ((Stage.PREPARING, "waits"),)

    async with alongside(agents(cluster, printed, slowly)):
        with pytest.raises(NotRotated, match="has not finished in time; it goes on by itself"):
            await rotate_keys(client, "w1", within_s=2)
    assert said(cluster, "w1")[ROTATE].endswith(" within=2s")


async def test_a_request_that_stands_is_followed(
    cluster: MemoryCluster, client: KubeClient, printed: list[str]
) -> None:
    """Somebody asked already, perhaps with kubectl: it is not asked for twice."""
    metadata = {"name": "w1", "annotations": OURS | {ROTATE: "by hand"}}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    async with alongside(agents(cluster, printed, well)):
        assert await rotate_keys(client, "w1", within_s=60) == "1 node changed keys: w1"
    assert "node w1: w1 is done" in printed
    assert '"asked":"by hand"' in said(cluster, "w1")[REPORT]


async def test_a_request_that_somebody_takes_back_is_told(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """Nothing is known of how it ended, so nothing is claimed."""

    async def meddle() -> None:
        await eventually(lambda: ROTATE in said(cluster, "w1"))
        metadata = {"name": "w1", "annotations": OURS}
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})

    async with alongside(meddle()):
        with pytest.raises(NotRotated, match="was replaced or taken back by somebody else"):
            await rotate_keys(client, "w1", within_s=60)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("w9", "has no Node w9"),
        ("none", "no agent of ours .* has run there"),
        ("kilo", "the key of node kilo is Kilo's"),
    ],
)
async def test_what_is_not_ours_to_change_is_bad_input(
    client: KubeClient, name: str, why: str
) -> None:
    """In one sentence, and nothing is asked of anybody."""
    with pytest.raises(InputError, match=why):
        await rotate_keys(client, name, within_s=60)


async def test_a_cluster_without_agents_is_bad_input(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """There is nothing to do, and somebody expected something."""
    for name in ("w1", "w2"):
        cluster.delete("Node", "", name)
    with pytest.raises(InputError, match="no node of this cluster has an agent of ours"):
        await rotate_keys(client, None, within_s=60)


def test_a_time_that_is_none_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert run(["rotate-keys", "w1", "--within-s", "0"]) == 2
    assert "--within-s 0 is not from 1 to 3600" in capsys.readouterr().err
