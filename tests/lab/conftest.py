"""What the laboratory's tests share: the control planes' binary, and one running control plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.lab.controlplane import ControlPlane, ControlPlaneSettings
from tests.support.planes import built_binary


@pytest.fixture(scope="session")
def controlplane_binary() -> Path:
    """Give the binary; skip where nobody has built it, since that takes minutes."""
    return built_binary()


@pytest.fixture(scope="session")
def control_plane(
    controlplane_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """Give one dual-stack control plane for all tests; whoever disturbs it leaves it working."""
    settings = ControlPlaneSettings(
        name="west", service_cidrs=("10.110.0.0/16", "fd00:10:110::/112")
    )
    folder = tmp_path_factory.mktemp("west")
    plane = ControlPlane(settings, binary=controlplane_binary, folder=folder)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()
