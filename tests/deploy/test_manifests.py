"""A real API server takes the manifests, complains of nothing, and lets their pods be made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.deploy.clusters import Cluster
from tests.deploy.manifests import KUBERNETES, OVERLAYS, PLAIN, Manifest, read

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

COMPONENTS = ("watcher", "reflector", "peerer", "nats")
FILES = tuple(f"--filename={KUBERNETES / folder}" for folder in PLAIN)


@pytest.fixture(scope="module")
def applied(east: Cluster) -> str:
    """Apply the plain manifests, as the how-to says; give what kubectl said."""
    return east.kubectl("apply", "--server-side=false", *FILES)


def test_plain_manifests_are_accepted(applied: str) -> None:
    """Without kustomize: one command, the namespace first, and no warnings."""
    lines = applied.splitlines()
    assert lines[0].startswith("namespace/heliograph ")
    assert all(line.endswith((" created", " configured", " unchanged")) for line in lines)


@pytest.mark.usefixtures("applied")
def test_a_second_time_changes_nothing(east: Cluster) -> None:
    """`kubectl diff` is empty after an apply, so what it shows before one means something."""
    assert east.kubectl("diff", *FILES) == ""


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_are_accepted(east: Cluster, overlay: str) -> None:
    """Every field is known (strict validation), every value allowed, and nothing deprecated."""
    strict = ("--dry-run=server", "--validate=strict")
    said = east.kubectl("apply", *strict, "-k", KUBERNETES / overlay)
    assert all(line.endswith("(server dry run)") for line in said.splitlines()), said


def test_the_peerer_can_be_left_out(east: Cluster, tmp_path: Path) -> None:
    """Component without-kilo takes away all that is the peerer's, and nothing else."""
    here = {"resources": ["heliograph"], "components": ["without-kilo"]}
    given = {k: [os.path.relpath(KUBERNETES / v[0], tmp_path)] for k, v in here.items()}
    (tmp_path / "Kustomization").write_text(yaml.safe_dump(given), encoding="utf-8")
    left = list(yaml.safe_load_all(east.kubectl("kustomize", tmp_path)))
    whole = read("heliograph")

    def names(manifests: list[Manifest]) -> set[tuple[str, str]]:
        return {(m["kind"], m["metadata"]["name"]) for m in manifests}

    without = {(kind, name) for kind, name in names(whole) if "peerer" in name}
    assert len(without) == 6
    assert names(left) == names(whole) - without


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_are_admitted(east: Cluster, component: str) -> None:
    """The controllers may make them, although the namespace is restricted."""
    selector = f"--selector=app.kubernetes.io/component={component}"
    namespace = "--namespace=heliograph"
    east.kubectl("wait", "pod", selector, namespace, "--for=create", "--timeout=60s")
    (pod,) = east.items("pods", selector, namespace)
    assert pod["status"]["phase"] == "Pending"  # nobody runs pods here


@pytest.mark.usefixtures("applied")
def test_other_pods_are_not(east: Cluster) -> None:
    """Whoever adds a pod to the namespace is held to the same rules."""
    ended = east.run("run", "other", "--image=other", "--namespace=heliograph")
    assert ended.returncode == 1
    assert 'violates PodSecurity "restricted:latest"' in ended.stderr


@pytest.mark.usefixtures("applied")
def test_the_store_of_the_bus_is_claimed(east: Cluster) -> None:
    """The volume belongs to the pod's name, so it outlives the pod."""
    claim = east.get("persistentvolumeclaim", "data-nats-0", "--namespace=heliograph")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
