"""Two clusters under one id would overwrite each other for ever: the second one is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.bus import Connection, EmbeddedServer
from heliograph.bus.background import alongside
from heliograph.contract.messages import ClusterAnnounced, encode
from heliograph.contract.subjects import Kind
from heliograph.lab.memory import MemoryCluster
from services.watcher.identity import DuplicateId, claim_id, cluster_uid
from tests.bus.support import connected
from tests.support.announcing import make_stream
from tests.support.builders import EAST, subject
from tests.support.clusters import client_of

pytestmark = pytest.mark.nats

CLUSTER = str(subject(Kind.CLUSTER, EAST))
OURS, THEIRS = ClusterAnnounced(uid="ours"), ClusterAnnounced(uid="theirs")
AT_ONCE = {
    "an empty stream": None,
    "our own announcement": encode(OURS),
    "one of an older version, without uid": encode(ClusterAnnounced()),
    "nonsense": b"nonsense",
}


@pytest.fixture
async def bus(server: EmbeddedServer) -> AsyncIterator[Connection]:
    """Return a connection to a bus with the stream of cluster east."""
    async with connected(server.url) as connection:
        await make_stream(connection)
        yield connection


async def store(bus: Connection, payload: bytes) -> None:
    await bus.request(CLUSTER, payload, timeout_s=5)


@pytest.mark.parametrize("payload", AT_ONCE.values(), ids=AT_ONCE)
async def test_an_id_that_nobody_holds_is_ours_at_once(
    payload: bytes | None, bus: Connection
) -> None:
    """Only another cluster's announcement is a reason to wait."""
    if payload is not None:
        await store(bus, payload)
    async with asyncio.timeout(5):
        await claim_id(bus, EAST, "ours", lease_s=3600)


async def test_an_id_that_is_no_longer_used_is_free_after_a_lease(bus: Connection) -> None:
    """A cluster that was made anew, under its old id, waits for the old one's lease."""
    await store(bus, encode(THEIRS))
    began_s = time.monotonic()
    await claim_id(bus, EAST, "ours", lease_s=0.2)
    assert time.monotonic() - began_s >= 0.2


async def test_an_id_in_use_is_refused(bus: Connection) -> None:
    """While the other cluster announces itself, nothing of ours is published."""
    await store(bus, encode(THEIRS))

    async def announce() -> None:
        while True:
            await bus.publish(CLUSTER, encode(THEIRS), {})
            await asyncio.sleep(0.01)

    async with alongside(announce()):
        with pytest.raises(DuplicateId, match="cluster id 'east' is taken: another") as raised:
            await claim_id(bus, EAST, "ours", lease_s=10)
    assert raised.value.cluster == EAST


async def test_our_own_echo_is_no_other_cluster(bus: Connection) -> None:
    """What is heard under our own UID, or cannot be read, is passed over."""
    await store(bus, encode(THEIRS))

    async def announce() -> None:
        while True:
            await bus.publish(CLUSTER, encode(OURS), {})
            await bus.publish(CLUSTER, b"nonsense", {})
            await asyncio.sleep(0.01)

    async with alongside(announce()):
        await claim_id(bus, EAST, "ours", lease_s=0.2)


async def test_a_cluster_is_told_by_its_oldest_namespace(
    cluster: MemoryCluster, tmp_path: Path
) -> None:
    """The UID of kube-system lives as long as the cluster."""
    system = cluster.get("Namespace", "", "kube-system")
    assert system is not None
    async with client_of(cluster.access, tmp_path) as client:
        assert await cluster_uid(client) == system["metadata"]["uid"]
