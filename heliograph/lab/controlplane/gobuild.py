"""What Go's commands are told, and what their output means. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from heliograph.lab.controlplane.errors import ControlPlaneUnavailable
from heliograph.progress import Progress, Step

_KUBERNETES: Final = re.compile(r"^\s*k8s\.io/kubernetes v(\d+)\.(\d+)(\.\S+)", re.MULTILINE)
_VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def linker_flags(go_mod: str) -> str:
    """Return the linker's flags: no debug data, and the Kubernetes version that go.mod names.

    Without them every program would report v0.0.0, and clients would refuse to talk to it.
    """
    match = _KUBERNETES.search(go_mod)
    if match is None:
        raise ControlPlaneUnavailable("go.mod names no Kubernetes", remedy="Restore that file.")
    major, minor, patch = match.groups()
    facts = {
        "gitVersion": f"v{major}.{minor}{patch}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "",
        "gitTreeState": "clean",
    }
    return "-s -w " + " ".join(
        f"-X {package}.{name}={value}"
        for package in _VERSION_PACKAGES
        for name, value in facts.items()
    )


def is_package(line: str) -> bool:
    """Tell a package's name from whatever else `go list` and `go build -v` write."""
    return bool(line) and " " not in line and not line.startswith("#")


def is_download(line: str) -> bool:
    """Tell a line of Go's that says that it fetches a module."""
    return line.startswith("go: downloading ")


class Counter:
    """Turns the lines that a Go command writes into progress.

    Args:
        step: What is being done, with nothing done yet.
        progress: Whom to tell.
        counts: Which lines count.
    """

    def __init__(
        self, step: Step, progress: Progress, *, counts: Callable[[str], bool] = is_package
    ) -> None:
        self._step, self._progress, self._counts = step, progress, counts
        self._count = 0
        progress(step)

    def __call__(self, line: str) -> None:
        """Count a line, and say how far the command is."""
        if self._counts(line):
            self._count += 1
            self._progress(msgspec.structs.replace(self._step, done=self._count))
