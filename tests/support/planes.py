"""Real control planes for tests; where they are not built, tests skip, but never in CI."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliograph.lab.controlplane import (
    CONTROLLERS,
    ControlPlane,
    ControlPlaneSettings,
    built_path,
)


def built_binary() -> Path:
    """Return the control planes' binary; a machine without it skips the test, but never in CI."""
    binary = built_path()
    if binary is not None:
        return binary
    missing = "the control planes are not built; `make controlplane` builds them"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def running_planes(
    ranges: Mapping[str, tuple[str, ...]],
    *,
    binary: Path,
    folder: Callable[[str], Path],
    controllers: tuple[str, ...] = CONTROLLERS,
) -> Iterator[dict[str, ControlPlane]]:
    """Run one control plane for each name, with its ranges of cluster IPs, beside the body."""
    planes = {
        name: ControlPlane(
            ControlPlaneSettings(name=name, service_cidrs=cidrs, controllers=controllers),
            binary=binary,
            folder=folder(name) / "plane",
        )
        for name, cidrs in ranges.items()
    }
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.start, planes.values()))
        yield planes
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.stop, planes.values()))
