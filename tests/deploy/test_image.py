"""The image, as far as it can be tested without an engine: its install, its user, its size."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph
from tests.deploy.dockerfile import ROOT, ignored, parse
from tests.deploy.image import AS_NOBODY, USER, environment_in, skip_unless_others_may_run
from tests.deploy.manifests import DEPLOY, containers, pod_templates, read

pytestmark = pytest.mark.timeout(600)

_MOST_MIB = 250
BUILD, FINAL = parse()


def run(image: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image's entry point with its environment, as its user if we may."""
    skip_unless_others_may_run()
    return subprocess.run(
        [*AS_NOBODY, "heliograph", *arguments],
        env=environment_in(image),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_program_starts_as_nobody(image: Path) -> None:
    """The wheel and the pinned packages are all it needs; no home, no groups, no capabilities."""
    ended = run(image, "--version")
    assert (ended.stdout.strip(), ended.stderr, ended.returncode) == (
        heliograph.__version__,
        "",
        0,
    )


@pytest.mark.parametrize("program", ["watcher", "reflector", "peerer", "streams"])
def test_every_program_is_in_it(image: Path, program: str) -> None:
    """Each gets as far as its settings, with every module that it imports."""
    ended = run(image, program, "--cluster", "west", "--nats", "nats://127.0.0.1:1")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("heliograph: ")


def test_nothing_can_be_changed_by_its_user(image: Path) -> None:
    """Files belong to root, can be read by all, and be written by nobody else."""
    for path in (image / "opt" / "heliograph").rglob("*"):
        if not path.is_symlink():
            mode = path.stat().st_mode
            assert not mode & (stat.S_IWOTH | stat.S_IWGRP | stat.S_ISUID | stat.S_ISGID), path
            assert mode & stat.S_IROTH, path


def test_what_is_installed_is_what_is_pinned(image: Path) -> None:
    """Nothing came along that requirements.txt does not name, and no installer is left."""
    pins = {name for name, _ in pinned((ROOT / "requirements.txt").read_text("utf-8"))}
    assert installed(image) <= pins | {"heliograph"}
    assert "heliograph" in installed(image)
    assert not (image / "opt" / "heliograph" / "bin" / "pip").exists()


def installed(image: Path) -> set[str]:
    found = (image / "opt" / "heliograph").rglob("*.dist-info")
    return {re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower() for path in found}


def test_the_image_is_small(image: Path) -> None:
    """What is copied onto the base image."""
    sizes = (p.lstat().st_size for p in (image / "opt" / "heliograph").rglob("*") if p.is_file())
    assert sum(sizes) / 2**20 < _MOST_MIB


def test_the_build_backend_is_pinned_as_elsewhere() -> None:
    """requirements-build.txt is a part of requirements-dev.txt; renew it after `make lock`."""
    everything = dict(pinned((ROOT / "requirements-dev.txt").read_text("utf-8")))
    for name, entry in pinned((DEPLOY / "requirements-build.txt").read_text("utf-8")):
        assert entry == everything[name], f"{name} was renewed: copy its entry anew"


def pinned(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each name with its version and hashes."""
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)):
        name, equals, rest = entry.partition("==")
        if equals:
            yield name.split("[")[0].strip(), tuple(rest.replace("\\", "").split())


def test_both_stages_have_one_base() -> None:
    """The copied environment needs the interpreter that it was made with; its digest is given."""
    assert BUILD.base == FINAL.base == "python:3.11-slim"
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert text.count("FROM ${PYTHON}${PYTHON_DIGEST}") == 2


def test_the_user_is_a_number() -> None:
    """Kubernetes cannot see whether a name is root; manifests and image agree on the number."""
    assert FINAL.all("USER") == [f"{USER}:{USER}"]
    for template in pod_templates(read("heliograph", "shared-bus/bus")).values():
        assert template["spec"]["securityContext"]["runAsUser"] == USER


def test_the_manifests_use_the_entry_point() -> None:
    """Their arguments are the command line's commands."""
    assert FINAL.all("ENTRYPOINT") == ['["heliograph"]']
    for name, template in pod_templates(read("heliograph", "shared-bus/bus")).items():
        (container,) = containers(template)
        assert container["args"][0] == name
        assert "command" not in container
        assert container["image"] == f"heliograph:{heliograph.__version__}"


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "tests/conftest.py", "deploy/Dockerfile", "docs/a"]
)
def test_the_build_does_not_see_what_it_does_not_need(path: str) -> None:
    """Nothing of the working folder gets into a layer by accident."""
    assert ignored(path)
