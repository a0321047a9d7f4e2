"""Three real control planes for all tests of faults; for each file a stage of its own on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliograph.lab.controlplane import ControlPlane
from tests.faults.stage import RANGES, Stage, running_stage
from tests.support.planes import built_binary, running_planes


@pytest.fixture(scope="session")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ControlPlane]]:
    """Run east, west and north; controllers have nothing to do for Services without selector."""
    with running_planes(
        RANGES, binary=built_binary(), folder=tmp_path_factory.mktemp, controllers=()
    ) as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest,
    planes: dict[str, ControlPlane],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Run a bus and the programs of the file's clusters, each as a process."""
    chosen = {name: planes[name] for name in request.module.CLUSTERS}
    with running_stage(chosen, tmp_path_factory.mktemp("stage")) as running:
        yield running
