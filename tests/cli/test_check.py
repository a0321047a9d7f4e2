"""`heliograph check`: what people and programs are told, and the exit code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from heliograph.bus import EmbeddedServer, ServerSettings
from heliograph.cli.app import run
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import MemoryCluster
from tests.cli.support import cluster_in_a_thread
from tests.support.builders import KEY, OTHER_KEY, kilo_node, node
from tests.support.clusters import node_json


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[dict[str, MemoryCluster]]:
    """Clusters east and west, with Kilo and a node each, in ranges of their own."""
    with ExitStack() as stack:
        made = {}
        for number, (name, key) in enumerate((("east", KEY), ("west", OTHER_KEY))):
            cidr = f"10.{110 + number}.0.0/16"
            made[name] = stack.enter_context(cluster_in_a_thread(name, service_cidr=cidr))
            made[name].apply(peer_crd())
            address = f"10.{4 + number}.0.1/16"
            private = f"10.0.{number}.4/24"
            ready = kilo_node(
                seen_s=time.time(), key=key, wireguard_ip=address, internal_ip=private
            )
            spec = node(pod_cidrs=(f"10.{42 + number}.0.0/24",)).spec
            made[name].apply(node_json(msgspec.structs.replace(ready, spec=spec)))
        write_kubeconfig(tmp_path / "kubeconfig", [c.access for c in made.values()])
        yield made


def check(folder: Path, *names: str, more: tuple[str, ...] = ()) -> int:
    """Check clusters; return the exit code."""
    given = [f"--cluster={name}={folder / 'kubeconfig'}@{name}" for name in names]
    return run(["check", *given, *more])


@pytest.mark.usefixtures("clusters")
def test_nothing_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each cluster has its line, and the last one says it."""
    assert check(tmp_path, "east", "west") == 0

    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["ok       east", "ok       west"]
    assert last == "nothing wrong in 2 clusters"


def test_warnings_alone_are_no_failure(
    clusters: dict[str, MemoryCluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says what and what to do; the exit code stays 0."""
    clusters["east"].delete("Node", "", "n1")

    assert check(tmp_path, "east") == 0

    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("warning  east: the ranges of pods are not known")
    assert first.endswith("set pod_cidrs of its watcher (HELIOGRAPH_POD_CIDRS)")
    assert last == "1 warning in 1 cluster"


def test_a_cluster_that_is_away_is_a_problem(
    clusters: dict[str, MemoryCluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are looked at all the same."""
    away = ClusterAccess(name="away", server="http://127.0.0.1:9", token="x")  # noqa: S106
    write_kubeconfig(tmp_path / "kubeconfig", [away, clusters["west"].access])

    assert check(tmp_path, "away", "west") == 1

    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("problem  away: the API server at http://127.0.0.1:9 does not answer")
    assert second.startswith("ok       west: ")
    assert last == "1 problem in 2 clusters"


@pytest.mark.usefixtures("clusters")
def test_json_is_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object: whether all is well, and each finding with the same five fields."""
    kubeconfig = tmp_path / "kubeconfig"
    twice = (f"--cluster=again={kubeconfig}@east", "--json")

    assert check(tmp_path, "east", more=twice) == 1

    report = msgspec.json.decode(capsys.readouterr().out)
    assert report["ok"] is False
    fields = {"severity", "cluster", "reason", "what", "remedy"}
    assert all(set(finding) == fields for finding in report["findings"])
    assert ("again", "SameCluster") in {(f["cluster"], f["reason"]) for f in report["findings"]}


def test_an_overlap_is_framed(
    clusters: dict[str, MemoryCluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside its line it has a frame on standard error, where nobody overlooks it."""
    same = kilo_node("n1", seen_s=time.time(), key=OTHER_KEY, internal_ip="absent")
    clusters["west"].apply(node_json(same))

    assert check(tmp_path, "east", "west") == 1

    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("problem  west: east, west all have Kilo's default subnet")
    assert lines[1].startswith("problem  west: pod range 10.42.0.0/24 overlaps with pod range")
    frames = captured.err.splitlines()
    assert sum(line.startswith("+- ") for line in frames) == 2
    assert frames[0].startswith("+- KiloDefaultSubnet: west -")
    assert all(line.startswith(("|", "+")) for line in frames)
    assert "| What to do: start Kilo's agents with another --subnet" in captured.err


@pytest.mark.nats
@pytest.mark.usefixtures("clusters")
def test_the_bus_is_looked_at_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that all share is nobody's in particular; one that is away is a problem."""
    with EmbeddedServer(ServerSettings(directory=tmp_path / "nats")) as server:
        url = server.url
        assert check(tmp_path, "east", "west", more=("--nats", url)) == 0
    assert f"ok       the bus at {url} answers, with JetStream" in capsys.readouterr().out

    assert check(tmp_path, "east", more=("--nats", f"east={url}")) == 1
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"problem  east: the bus at {url} cannot be used: ")


BAD = {
    "no cluster": ([], "--cluster"),
    "not of the form": (["--cluster=east"], "--cluster 'east' is not of the form"),
    "no label": (["--cluster=East_1=k"], "one DNS label"),
    "one id twice": (["--cluster=east=k", "--cluster=east=k"], "two clusters have the id 'east'"),
    "no such file": (["--cluster=east=/nowhere"], "/nowhere cannot be read"),
    "bus of nobody": (["--cluster=east=k", "--nats=north=nats://x"], "for no known cluster"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a cluster, or not well named, is refused in one sentence."""
    assert run(["check", *arguments]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1
