"""The image's files, made once below a folder, and how to run them as the image would."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.dockerfile import Builder, parse

USER = 65532
AS_NOBODY = (
    *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
    *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "env"),
)
"""Starts a program with the rights that the manifests leave a container."""


@contextmanager
def built() -> Iterator[Path]:
    """Carry out the Dockerfile's build in a folder that everybody may enter; yield the folder."""
    build, _ = parse()
    folder = Path(tempfile.mkdtemp(prefix="heliograph-image-"))
    folder.chmod(0o755)
    try:
        Builder(folder, _interpreter()).carry_out(build)
        yield folder
    finally:
        shutil.rmtree(folder)


def environment_in(image: Path) -> dict[str, str]:
    """Return the image's environment, with its paths below the folder."""
    _, final = parse()
    given = final.environment()
    path = given["PATH"].replace("/opt/", f"{image}/opt/").replace("$PATH", "/usr/bin:/bin")
    return given | {"PATH": path}


def skip_unless_others_may_run() -> None:
    """Skip where we cannot become another user, or where that user could not run Python."""
    if os.getuid() != 0 or not _everybody_may_run(_interpreter()):
        pytest.skip("needs root, and a Python that other users may run")


def _interpreter() -> Path:
    """Return an interpreter that is fit to stand for the base image's."""
    candidates = (Path(sys.executable).resolve(), Path("/usr/bin/python3"))
    fit = [path for path in candidates if path.exists() and _everybody_may_run(path)]
    return (*fit, candidates[0])[0]


def _everybody_may_run(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))
