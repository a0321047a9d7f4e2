"""What the tests of deploy/ share: certificates, and two real control planes with audit logs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.buses import make_certificates
from tests.deploy.clusters import Cluster
from tests.deploy.image import built
from tests.support.planes import built_binary


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of certificates, made by the script that operators run."""
    if shutil.which("openssl") is None:
        pytest.skip("deploy/certificates.sh needs openssl, and there is none here")
    folder = tmp_path_factory.mktemp("certificates")
    return make_certificates(folder, "east", "west", "north", "administrator")


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cluster]]:
    """Give two real control planes, east and west; skip where nobody has built them."""
    binary = built_binary()
    made = {
        name: Cluster(name, cidr, binary=binary, folder=tmp_path_factory.mktemp(name))
        for name, cidr in {"east": "10.120.0.0/16", "west": "10.110.0.0/16"}.items()
    }
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(Cluster.start, made.values()))
        yield made
    finally:
        with ThreadPoolExecutor() as threads:
            list(threads.map(Cluster.stop, made.values()))


@pytest.fixture(scope="session")
def east(clusters: dict[str, Cluster]) -> Cluster:
    """Give the first cluster."""
    return clusters["east"]


@pytest.fixture(scope="session")
def west(clusters: dict[str, Cluster]) -> Cluster:
    """Give the second cluster."""
    return clusters["west"]


@pytest.fixture(scope="session")
def image() -> Iterator[Path]:
    """Give a folder with the files of the image, made by the steps of its Dockerfile."""
    with built() as folder:
        yield folder
