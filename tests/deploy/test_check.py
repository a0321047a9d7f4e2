"""`heliograph check` on a real control plane: it asks what the credentials may do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from heliograph.check.finding import Finding
from heliograph.cli.app import run
from tests.deploy.clusters import Cluster, eventually
from tests.deploy.manifests import KUBERNETES, granted_to, read

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def watcher(west: Cluster) -> Path:
    """Give the watcher's own credentials, with the rights that the manifests grant."""
    for folder in ("namespace/namespace.yaml", "heliograph/1-rights.yaml"):
        west.kubectl("apply", "-f", KUBERNETES / folder)
    rights = granted_to(read("heliograph"), "heliograph-watcher")
    eventually(lambda: west.may("watcher", rights), "rights of the watcher")
    return west.kubeconfig("watcher")


def found(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> list[Finding]:
    """Return what a check of cluster west finds."""
    code = run(["check", f"--cluster=west={kubeconfig}", "--json"])
    report = msgspec.json.decode(capsys.readouterr().out)
    assert code == (0 if report["ok"] else 1)
    return msgspec.convert(report["findings"], list[Finding])


def test_rights_of_a_program(watcher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The watcher's credentials are enough for the watcher, and for nobody else."""
    findings = found(watcher, capsys)

    lacking = {f.what.split(" may not ")[0]: f.what for f in findings if f.reason == "MissingRight"}
    prefix = "with these credentials the"
    assert set(lacking) == {f"{prefix} reflector", f"{prefix} peerer"}
    assert "create services" in lacking[f"{prefix} reflector"]
    assert "list nodes" not in lacking[f"{prefix} peerer"]
    unread = {f.what.split(" could not be read")[0] for f in findings if f.reason == "NotRead"}
    assert "pods" in unread
    assert "nodes" not in unread


def test_rights_of_an_administrator(west: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is missing, all is read, and the server says what it is."""
    findings = found(west.admin, capsys)

    assert not {"MissingRight", "NotRead", "ClockSkew"} & {f.reason for f in findings}
    (reached,) = [f for f in findings if f.reason == "Reachable"]
    assert reached.what.startswith("the API server (v1.")
