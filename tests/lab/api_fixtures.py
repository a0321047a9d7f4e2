"""The servers of the contract suite: one in memory for each test, one real one for all.

A test module says `pytest_plugins = ["tests.lab.api_fixtures"]` and asks for `api` (single stack),
for `dual_api`, or for `kube`, the programs' own client; each test runs against both kinds of
server, in a namespace of its own. Never import this module otherwise: pytest must load it first.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from heliograph.kube.client import KubeClient
from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane import ControlPlane, ControlPlaneSettings
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from tests.lab.api_client import Api, open_session
from tests.support.clusters import client_of

SINGLE_STACK = ("10.96.0.0/16",)
DUAL_STACK = ("10.110.0.0/16", "fd00:10:110::/112")  # as `control_plane` has it
BOTH_SERVERS = ("memory", pytest.param("real", marks=pytest.mark.real))

_COMPACTION_S = 2
_TOKEN = "administrator"  # noqa: S105 - of a server that lives for one test
_NAMES = itertools.count(1)


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server under test."""

    access: ClusterAccess
    forget_history: Callable[[], Awaitable[None]]


@pytest.fixture(scope="session")
def single_stack_plane(
    controlplane_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """Give one single-stack control plane that forgets its history within seconds."""
    settings = ControlPlaneSettings(
        name="contract",
        service_cidrs=SINGLE_STACK,
        api_server_flags=(f"--etcd-compaction-interval={_COMPACTION_S}s",),
    )
    folder = tmp_path_factory.mktemp("contract")
    plane = ControlPlane(settings, binary=controlplane_binary, folder=folder)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()


@pytest.fixture(params=BOTH_SERVERS)
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """Give a client of a single-stack server."""
    async with _server(request, "single_stack_plane", SINGLE_STACK) as server, _client(server) as c:
        yield c


@pytest.fixture(params=BOTH_SERVERS)
async def dual_api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """Give a client of a dual-stack server."""
    async with _server(request, "control_plane", DUAL_STACK) as server, _client(server) as c:
        yield c


@pytest.fixture(params=BOTH_SERVERS)
async def kube(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KubeClient]:
    """Give the programs' own client of a single-stack server."""
    async with (
        _server(request, "single_stack_plane", SINGLE_STACK) as server,
        client_of(server.access, tmp_path) as client,
    ):
        yield client


@asynccontextmanager
async def _server(
    request: pytest.FixtureRequest, plane_fixture: str, service_cidrs: tuple[str, ...]
) -> AsyncIterator[Server]:
    if request.param == "real":
        plane: ControlPlane = request.getfixturevalue(plane_fixture)
        yield Server(access=plane.access, forget_history=plane.restart_api_server)
        return
    settings = MemoryClusterSettings(name="memory", service_cidrs=service_cidrs, token=_TOKEN)
    async with MemoryCluster(settings) as cluster:

        async def compact() -> None:
            cluster.compact_history()

        yield Server(access=cluster.access, forget_history=compact)


@asynccontextmanager
async def _client(server: Server) -> AsyncIterator[Api]:
    async with open_session(server.access) as session:
        api = Api(session, f"contract-{next(_NAMES)}", server.forget_history)
        made = await api.post("/api/v1/namespaces", {"metadata": {"name": api.namespace}})
        assert made.status == 201, made.body
        yield api
        await api.delete(f"/api/v1/namespaces/{api.namespace}")
