"""Three real control planes for all end-to-end tests; north has one address family only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane import ControlPlane, ControlPlaneSettings, built_path

RANGES = {
    "east": ("10.96.0.0/16", "fd00:96::/112"),
    "west": ("10.97.0.0/16", "fd00:97::/112"),
    "north": ("10.98.0.0/16",),
}


@pytest.fixture(scope="session")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ControlPlane]]:
    """Run east, west and north; a machine that cannot skips, but never in CI."""
    binary = built_path()
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("the control planes are not built; `make controlplane` builds them")
        pytest.skip("the control planes are not built; `make controlplane` builds them")
    running = {
        name: ControlPlane(
            ControlPlaneSettings(name=name, service_cidrs=ranges),
            binary=binary,
            folder=tmp_path_factory.mktemp(name) / "plane",
        )
        for name, ranges in RANGES.items()
    }
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.start, running.values()))
        yield running
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.stop, running.values()))


@pytest.fixture
def accesses(planes: dict[str, ControlPlane]) -> dict[str, ClusterAccess]:
    """Tell how to reach them."""
    return {name: plane.access for name, plane in planes.items()}
