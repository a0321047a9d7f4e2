"""Each program alone: what it would do, doing it once, and the marks on Services."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer, ServerSettings
from heliograph.cli.app import run
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import JsonObject, MemoryCluster
from tests.cli.support import cluster_in_a_thread

pytestmark = pytest.mark.nats


class Ground:
    """Two in-memory clusters, a bus, and commands on them."""

    def __init__(self, clusters: dict[str, MemoryCluster], kubeconfig: Path, bus: str) -> None:
        self.clusters, self.kubeconfig, self.bus = clusters, kubeconfig, bus

    def arguments(self, program: str, cluster: str, *more: str) -> list[str]:
        """Return the arguments of a program of one cluster."""
        access = f"{self.kubeconfig}@{cluster}"
        return [program, "--cluster", cluster, "--kubeconfig", access, "--nats", self.bus, *more]

    def run(self, program: str, cluster: str, *more: str) -> int:
        """Run a program of one cluster; return its exit code."""
        return run(self.arguments(program, cluster, *more))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Clusters east and west, and a bus that they share."""
    with ExitStack() as stack:
        clusters = {
            name: stack.enter_context(cluster_in_a_thread(name, service_cidr=cidr))
            for name, cidr in (("east", "10.96.0.0/16"), ("west", "10.97.0.0/16"))
        }
        write_kubeconfig(tmp_path / "kubeconfig", [c.access for c in clusters.values()])
        server = EmbeddedServer(ServerSettings(directory=tmp_path / "nats"))
        bus = stack.enter_context(server).url
        yield Ground(clusters, tmp_path / "kubeconfig", bus)


def service(name: str, *, exported: bool = True, kind: str = "ClusterIP") -> JsonObject:
    labels = {"heliograph.io/export": "true"} if exported else {}
    spec: JsonObject = {"type": kind, "ports": [{"port": 80}]}
    if kind == "ExternalName":
        spec["externalName"] = "example.com"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": spec,
    }


def test_dry_runs_and_single_passes(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run says what the single pass then does; after it, there is nothing to do."""
    ground.clusters["east"].apply(service("web"))

    assert ground.run("watcher", "east", "--dry-run") == 0
    assert "publish heliograph.v1.east.service.default.web" in capsys.readouterr().out
    assert ground.run("watcher", "east", "--once") == 0
    capsys.readouterr()
    assert ground.run("watcher", "east", "--dry-run") == 0
    assert capsys.readouterr().out == "nothing to do\n"

    assert ground.run("reflector", "west", "--dry-run", "--import-from", "east") == 0
    planned = capsys.readouterr().out
    assert "create  Service default/web" in planned
    assert "create  EndpointSlice default/web-east-" in planned
    assert ground.clusters["west"].get("Service", "default", "web") is None
    assert ground.run("reflector", "west", "--once", "--import-from", "east") == 0
    assert ground.clusters["west"].get("Service", "default", "web") is not None
    capsys.readouterr()
    assert ground.run("reflector", "west", "--dry-run", "--import-from", "east") == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_export_and_unexport_set_the_label(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """The label goes on and off, and the commands say what they did."""
    east, access = ground.clusters["east"], f"{ground.kubeconfig}@east"
    east.apply(service("web", exported=False))

    assert run(["export", "default/web", "--endpoints", "pods", "--kubeconfig", access]) == 0
    assert capsys.readouterr().out == "Service default/web of cluster east is exported\n"
    found = east.get("Service", "default", "web")
    assert found is not None
    assert found["metadata"]["labels"]["heliograph.io/export"] == "true"
    assert found["metadata"]["annotations"]["heliograph.io/endpoints"] == "pods"

    assert run(["unexport", "default/web", "--kubeconfig", access]) == 0
    assert "no longer exported" in capsys.readouterr().out
    assert run(["unexport", "default/web", "--kubeconfig", access]) == 0
    assert "was not exported" in capsys.readouterr().out


def test_what_cannot_be_exported_is_said_at_once(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ExternalName Service and one that does not exist are refused with the reason."""
    access = f"{ground.kubeconfig}@east"
    ground.clusters["east"].apply(service("alias", exported=False, kind="ExternalName"))

    assert run(["export", "default/alias", "--kubeconfig", access]) == 2
    assert "is of type ExternalName" in capsys.readouterr().err
    assert run(["export", "default/nobody", "--kubeconfig", access]) == 2
    assert "cluster east has no Service default/nobody" in capsys.readouterr().err


def test_two_clusters_with_one_id(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """A watcher whose id another cluster announces right now refuses to start."""
    command = [sys.executable, "-m", "heliograph", *ground.arguments("watcher", "east")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert ground.run("reflector", "west", "--once") == 0  # east has announced itself
            access = f"{ground.kubeconfig}@west"
            code = run(
                [
                    *("watcher", "--cluster", "east", "--kubeconfig", access),
                    *("--nats", ground.bus, "--once"),
                ]
            )
        finally:
            other.terminate()

    assert code == 2
    assert "cluster id 'east' is taken" in capsys.readouterr().err


def test_an_id_is_taken_over_from_a_cluster_that_is_gone(ground: Ground) -> None:
    """A cluster made anew under the old id goes on once the old lease is out."""
    assert ground.run("watcher", "east", "--once", "--lease-s", "1") == 0
    access = f"{ground.kubeconfig}@west"

    anew = ["watcher", "--cluster", "east", "--kubeconfig", access, "--nats", ground.bus]
    assert run([*anew, "--once", "--lease-s", "1"]) == 0


def test_streams_are_kept_by_an_administrator(ground: Ground) -> None:
    """On a shared bus the streams are made by one process, and watchers make none."""
    streams = ["streams", "--nats", ground.bus, "--cluster", "east", "--cluster", "west"]
    assert run([*streams, "--once"]) == 0

    assert ground.run("watcher", "east", "--no-create-stream", "--once") == 0


def on_terminal(arguments: list[str]) -> str:
    """Run the command line on a pseudo-terminal of its own; return all that was drawn."""
    drawn = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        drawn.extend(data)
        return data

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-m", "heliograph", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        with suppress(OSError):  # it has ended, and with it its terminal
            while read(ours):
                pass
    os.close(ours)
    return drawn.decode()


def test_a_first_sync_is_a_bar_on_a_terminal_and_lines_in_a_log(ground: Ground) -> None:
    """A person sees how much is done and what stays of it; a pod's log has the same in a line."""
    for number in range(300):
        ground.clusters["east"].apply(service(f"web-{number}"))

    drawn = on_terminal(ground.arguments("watcher", "east", "--once"))
    assert "first sync of the watcher of east: 300 messages" in drawn
    assert "first sync finished" not in drawn

    command = [sys.executable, "-m", "heliograph"]
    arguments = ground.arguments("reflector", "west", "--once", "--import-from", "east")
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    (finished,) = (line for line in lines if line["event"] == "first sync finished")
    assert finished["what"] == "first sync of the reflector of west"
    assert finished["done"] >= 300
    assert finished["left"] == 0
