"""Three real control planes for all end-to-end tests; north has one address family only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane import ControlPlane
from tests.support.planes import built_binary, running_planes

RANGES = {
    "east": ("10.96.0.0/16", "fd00:96::/112"),
    "west": ("10.97.0.0/16", "fd00:97::/112"),
    "north": ("10.98.0.0/16",),
}


@pytest.fixture(scope="session")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ControlPlane]]:
    """Run east, west and north."""
    with running_planes(RANGES, binary=built_binary(), folder=tmp_path_factory.mktemp) as running:
        yield running


@pytest.fixture
def accesses(planes: dict[str, ControlPlane]) -> dict[str, ClusterAccess]:
    """Tell how to reach them."""
    return {name: plane.access for name, plane in planes.items()}
