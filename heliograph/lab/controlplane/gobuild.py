"""What Go's commands are told, and what their output means. Pure but for the clock it is given."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from heliograph.lab.controlplane.cache import Progress
from heliograph.lab.controlplane.errors import ControlPlaneUnavailable

_KUBERNETES: Final = re.compile(r"^\s*k8s\.io/kubernetes v(\d+)\.(\d+)(\.\S+)", re.MULTILINE)
_VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_TELL_EVERY_S: Final = 1.0


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
    """Turns the lines that a Go command writes into progress, at most one line a second.

    Args:
        text: What to say, with the fields `count` and `elapsed_s`.
        progress: Whom to tell.
        counts: Which lines count.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        text: str,
        progress: Progress,
        *,
        counts: Callable[[str], bool] = is_package,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._text, self._progress, self._counts, self._clock = text, progress, counts, clock
        self._count = 0
        self._began = self._told = clock()

    def __call__(self, line: str) -> None:
        """Count a line, and say how far the command is if that has not just been said."""
        self._count += self._counts(line)
        now = self._clock()
        if now - self._told >= _TELL_EVERY_S:
            self._told = now
            self._progress(self._text.format(count=self._count, elapsed_s=now - self._began))
