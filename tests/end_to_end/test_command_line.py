"""The commands of the README, as a person types them: processes, kubectl, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.planes import built_binary

HELIOGRAPH = [sys.executable, "-m", "heliograph"]


@contextmanager
def command(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a heliograph command beside the body; Ctrl-C must end it, with exit code 0."""
    with log.open("wb") as output:
        process = subprocess.Popen([*HELIOGRAPH, *arguments], stdout=output, stderr=output)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], *, within_s: float, log: Path) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


class Kubectl:
    """kubectl with a kubeconfig."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._command = [str(built_binary()), "kubectl", "--kubeconfig", str(kubeconfig)]
        self._environment = {"HOME": str(home), "PATH": os.environ["PATH"]}

    def __call__(self, context: str, *arguments: str) -> str:
        """Run it in one context; return what it printed."""
        done = subprocess.run(
            [*self._command, "--context", context, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.mark.real
@pytest.mark.nats
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", [(), ("--real",)], ids=["in memory", "real"])
def test_the_objects_of_kilos_page_appear_with_kubectl_alone(
    kind: tuple[str, ...], tmp_path: Path
) -> None:
    """`lab up` in one terminal, `up` in another, kubectl in a third: the README's ten minutes."""
    kubeconfig, lab_log, up_log = tmp_path / "kubeconfig", tmp_path / "lab", tmp_path / "up"
    kubectl = Kubectl(kubeconfig, tmp_path)
    lab = ("lab", "up", "--clusters", "2", *kind, "--kubeconfig", str(kubeconfig), "--kilo")
    joined = [f"--cluster={name}={kubeconfig}@{name}" for name in ("east", "west")]
    with command(*lab, log=lab_log):
        until(kubeconfig.exists, within_s=120, log=lab_log)
        until(lambda: "Ctrl-C" in lab_log.read_text(), within_s=30, log=lab_log)
        assert kubectl("west", "get", "nodes", "-o", "name").split() == ["node/n1", "node/n2"]
        assert "kilo.squat.ai/last-seen" in kubectl("west", "get", "node", "n1", "-o", "yaml")
        assert kubectl("west", "get", "peers") == ""
        with command("up", *joined, log=up_log):
            until(lambda: "are joined" in up_log.read_text(), within_s=30, log=up_log)
            kubectl("east", "create", "service", "clusterip", "important-service", "--tcp=80")
            label = "heliograph.io/export=true"
            kubectl("east", "label", "service", "important-service", label)

            def mirrored() -> bool:
                listed = kubectl("west", "get", "services,endpointslices", "-o", "name")
                return "service/important-service" in listed and "-east-" in listed

            until(mirrored, within_s=15, log=up_log)
            address = ("get", "service", "important-service", "-o", "jsonpath={.spec.clusterIP}")
            exported_ip = kubectl("east", *address)
            selector = "kubernetes.io/service-name=important-service"
            slices = json.loads(
                kubectl("west", "get", "endpointslices", "-l", selector, "-o", "json")
            )
            assert [e["addresses"] for i in slices["items"] for e in i["endpoints"]] == [
                [exported_ip]
            ]

            kubectl("east", "label", "service", "important-service", "heliograph.io/export-")
            until(lambda: not mirrored(), within_s=15, log=up_log)


@pytest.mark.nats
def test_the_demo_speaks_json(tmp_path: Path) -> None:
    """`demo --json` prints one object on standard output, and exits 0 with every step seen."""
    done = subprocess.run(
        [*HELIOGRAPH, "demo", "--json"], capture_output=True, timeout=60, check=False, cwd=tmp_path
    )

    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"] is True
    assert [set(step) for step in report["steps"]] == [{"name", "ok", "seconds"}] * 12
    assert [step["name"] for step in report["steps"]][:4] == [
        *("peer", "node-joins", "node-falls-silent", "node-leaves")
    ]
    assert all(step["ok"] and 0 < step["seconds"] < 15 for step in report["steps"])
    told = done.stderr.decode()
    assert "+- cluster south is refused: RangeOverlap -" in told
    assert re.search(r"was held by (\S+), then (\1 \+ \S+|\S+ \+ \1), then (?!\1)\S+\n", told)
    assert "[error" not in told  # logs are for when something was not seen


@pytest.mark.real
@pytest.mark.nats
@pytest.mark.timeout(240)
def test_the_demo_on_real_control_planes(tmp_path: Path) -> None:
    """`demo --real` plays the same steps between real API servers."""
    Kubectl(tmp_path / "none", tmp_path)  # skips where nothing is built
    done = subprocess.run(
        [*HELIOGRAPH, "demo", "--real", "--json"], capture_output=True, timeout=200, check=False
    )

    assert done.returncode == 0, done.stderr
    assert all(step["ok"] for step in json.loads(done.stdout)["steps"])
