"""`heliograph plan mirrors`: what would be done in a cluster, from API servers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from heliograph.bus import EmbeddedServer, ServerSettings
from heliograph.cli.app import run
from heliograph.lab.access import write_kubeconfig
from tests.cli.support import cluster_in_a_thread
from tests.support.builders import node
from tests.support.clusters import namespace, node_json
from tests.support.joined import NAMESPACE, Cluster

NAMES = ("east", "north", "west")


class Ground:
    """Clusters, and commands on them."""

    def __init__(self, clusters: dict[str, Cluster], folder: Path) -> None:
        self.clusters, self.kubeconfig = clusters, folder / "kubeconfig"
        self._folder = folder
        write_kubeconfig(self.kubeconfig, [c.api.access for c in clusters.values()])

    def __getitem__(self, name: str) -> Cluster:
        return self.clusters[name]

    def plan(self, *exporting: str, more: tuple[str, ...] = ()) -> int:
        """Plan the mirrors of clusters in west; return the exit code."""
        given = [f"--from={name}={self.kubeconfig}@{name}" for name in exporting]
        return run(["plan", "mirrors", *given, f"--to=west={self.kubeconfig}@west", *more])

    def mirror(self, *exporting: str) -> None:
        """Let the programs do it."""
        programs = [*(("watcher", name) for name in exporting), ("reflector", "west")]
        with EmbeddedServer(ServerSettings(directory=self._folder / "nats")) as server:
            for program, name in programs:
                access = f"{self.kubeconfig}@{name}"
                bus = ["--nats", server.url, "--once"]
                assert run([program, "--cluster", name, "--kubeconfig", access, *bus]) == 0


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Clusters east, north and west, each with the namespace that tests use."""
    with ExitStack() as stack:
        clusters = {}
        for number, name in enumerate(NAMES):
            cidr = f"10.{110 + number}.0.0/16"
            api = stack.enter_context(cluster_in_a_thread(name, service_cidr=cidr))
            api.apply(namespace(NAMESPACE))
            clusters[name] = Cluster(name, number, api)
        yield Ground(clusters, tmp_path)


def out(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on standard output since the last look."""
    return capsys.readouterr().out.splitlines()


def test_what_would_be_created_is_shown_and_not_written(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each object and each refusal, and the counts; the cluster stays as it is."""
    ground["east"].export("web")
    ground["west"].export("taken", exported=False)
    ground["east"].export("taken")
    writes = ground["west"].api.writes

    assert ground.plan("east") == 0

    lines = out(capsys)
    assert lines[0].startswith("! refuse   Service shop/taken in cluster west is managed by")
    assert lines[1:3] == ["+ create   Service shop/web", lines[2]]
    assert lines[2].startswith("+ create   EndpointSlice shop/web-east-")
    assert lines[3:] == ["2 to create, 1 refused"]
    assert ground["west"].api.writes == writes


def test_what_cannot_be_exported_is_said_too(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """The watcher's refusals are those of the exporting cluster."""
    ground["east"].export("alias", type="ExternalName", externalName="example.com", ports=[])

    assert ground.plan("east", more=("--exit-code",)) == 0

    refused, last = out(capsys)
    assert refused.startswith("! refuse   in cluster east: Service shop/alias is of type External")
    assert last == "nothing to do, 1 refused"


@pytest.mark.nats
def test_a_plan_is_what_the_programs_do(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """After them nothing is left of it, and the exit code says so."""
    ground["east"].export("web")
    ground["east"].export("pods", mode="pods")
    ground["east"].set_pods({"10.42.0.7": {}}, "pods")
    assert ground.plan("east", more=("--exit-code",)) == 1
    ground.mirror("east")
    capsys.readouterr()

    assert ground.plan("east", more=("--exit-code",)) == 0

    assert out(capsys)[-1].startswith("nothing to do")


@pytest.mark.nats
def test_changes_are_shown_as_a_diff_and_removals_by_name(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """Old and new values stand below each other; what is made anew is called so."""
    for name in ("web", "gone", "turned"):
        ground["east"].export(name)
    ground.mirror("east")
    ground["east"].change("web", ports=[{"name": "http", "port": 8080}])
    ground["east"].withdraw("gone")
    ground["east"].withdraw("turned")
    ground["east"].export("turned", clusterIP="None")
    capsys.readouterr()

    assert ground.plan("east", more=("--exit-code",)) == 1

    lines = out(capsys)
    begin = lines.index("~ change   Service shop/web")
    changed = [line for line in lines[begin : begin + 14] if line[4:5] in {"-", "+"}]
    assert changed[:4] == [
        "    -    port: 80",
        "    +    port: 8080",
        "    -    targetPort: 80",
        "    +    targetPort: 8080",
    ]
    assert "- remove   Service shop/gone" in lines
    assert any(line.startswith("- remove   EndpointSlice shop/gone-east-") for line in lines)
    assert "± recreate Service shop/turned" in lines
    assert "    +  clusterIP: None" in lines


@pytest.mark.nats
def test_mirrors_of_other_clusters_are_left_out(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the clusters that are named are judged, even where one mirror points at several."""
    for exporting in ("east", "north"):
        ground[exporting].export("both")
        ground[exporting].export(exporting)
    ground.mirror("east", "north")
    for name in ("both", "north"):
        ground["north"].withdraw(name)
    capsys.readouterr()

    assert ground.plan("east", more=("--exit-code",)) == 0
    assert out(capsys) == ["nothing to do"]
    assert ground.plan("east", "north", more=("--exit-code",)) == 1
    lines = out(capsys)
    assert "- remove   Service shop/north" in lines
    assert not any("shop/east" in line for line in lines)


def test_a_cluster_that_has_left_exports_nothing(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """What people decided holds for plans too, in both directions, and is said."""
    ground["east"].export("web")
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "clusterset", "namespace": "heliograph"},
    }
    for name, data in (("east", {"left": "2026-01-01"}), ("west", {"forgotten.north": "2026"})):
        ground[name].api.apply(namespace("heliograph"))
        ground[name].api.apply(record | {"data": data})
    ground["north"].export("cart")

    assert ground.plan("east", "north") == 0

    refused, last = out(capsys)
    assert refused.startswith("! refuse   nothing is taken from cluster north: cluster west has")
    assert last == "nothing to do, 1 refused"


def test_a_missing_namespace_is_refused_or_created(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --create-namespaces the plan goes on to what is created in it."""
    ground["east"].api.apply(namespace("blog"))
    ground["east"].export("web", namespace="blog")

    assert ground.plan("east") == 0
    assert "there is no namespace blog" in out(capsys)[0]
    assert ground.plan("east", more=("--create-namespaces",)) == 0
    lines = out(capsys)
    assert lines[:2] == ["+ create   Namespace blog", "+ create   Service blog/web"]
    assert lines[-1] == "3 to create"


def test_a_cluster_whose_ranges_overlap_is_refused(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is taken from it, in a frame that nobody overlooks; the others go on."""
    ground["north"].export("web")
    ground["east"].export("cart")
    for name in ("north", "west"):
        ground[name].api.apply(node_json(node()))

    assert ground.plan("east", "north", more=("--exit-code",)) == 1

    captured = capsys.readouterr()
    refused, service, _, last = captured.out.splitlines()
    assert refused.startswith("! refuse   Cluster north is refused in cluster west: its pod range")
    assert service == "+ create   Service shop/cart"
    assert last == "2 to create, 1 refused"
    assert captured.err.startswith("+- north is refused (RangeOverlap) -")
    assert ground.plan("north", more=("--exit-code",)) == 1


@pytest.mark.nats
def test_what_stands_of_a_refused_cluster_turns_not_ready(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is neither removed nor used; as the reflector itself would have it."""
    ground["east"].export("web", mode="pods")
    ground["east"].set_pods({ground["east"].pod(7): {}}, "web")
    ground["east"].api.apply(node_json(node()))
    ground.mirror("east")
    assert ground.plan("east", more=("--exit-code",)) == 0
    capsys.readouterr()

    ground["west"].api.apply(node_json(node()))

    assert ground.plan("east", more=("--exit-code",)) == 1
    lines = out(capsys)
    assert lines[0].startswith("! refuse   Cluster east is refused in cluster west")
    assert lines[1].startswith("~ change   EndpointSlice shop/web-east-")
    assert "    -    ready: true" in lines
    assert "    +    ready: false" in lines
    assert lines[-1] == "1 to change, 1 refused"


def test_json_is_a_list_of_changes(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tells what is done with which object, and what is written."""
    ground["east"].export("web")

    assert ground.plan("east", more=("--json",)) == 0

    service, piece = msgspec.json.decode(capsys.readouterr().out)
    assert {name: service[name] for name in ("action", "kind", "namespace", "name")} == {
        "action": "create",
        "kind": "Service",
        "namespace": "shop",
        "name": "web",
    }
    port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}
    assert service["object"]["spec"]["ports"] == [port]
    assert piece["object"]["endpoints"][0]["addresses"] == ["10.110.1.1"]


BAD = {
    "not of the form": (["--from=east", "--to=west=k"], "--from 'east' is not of the form"),
    "nothing to import": (["--to=west=k"], "--from"),
    "no target": (["--from=east=k"], "--to"),
    "two targets": (["--from=east=k", "--to=west=k", "--to=north=k"], "--to"),
    "from itself": (["--from=east=k", "--to=east=k"], "cluster east is in --from and in --to"),
    "one id twice": (["--from=east=k", "--from=east=k", "--to=west=k"], "change one of the --from"),
    "no such file": (["--from=east=/nowhere", "--to=west=/nowhere"], "/nowhere cannot be read"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Clusters that are not well named are refused in one sentence."""
    assert run(["plan", "mirrors", *arguments]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1
