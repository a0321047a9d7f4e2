"""A ClusterSet as its bus shows it: real programs, a real bus, NATS' service protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from heliograph.bus import Connection, EmbeddedServer
from heliograph.bus.background import alongside
from heliograph.bus.micro import Endpoint, Identity, Service
from heliograph.errors import HeliographError
from heliograph.kube.objects import Port, ServiceSpec
from heliograph.run.overview import look
from tests.bus.support import connected
from tests.end_to_end.support import eventually as soon
from tests.end_to_end.support import join
from tests.support.clusters import memory_cluster

pytestmark = pytest.mark.nats

WHO = Identity(
    name="heliograph-test",
    id="A1",
    version="1.2.3",
    description="Tests.",
    metadata={"cluster": "x"},
)
SUBJECT = "heliograph.status.v1.x.test"


@pytest.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[Connection]:
    """A connection, and a service that answers on another one."""
    async with connected(server.url) as asking, connected(server.url) as answering:
        endpoint = Endpoint(name="status", subject=SUBJECT, answer=lambda: {"ready": True})
        async with alongside(Service(answering, WHO, endpoint).run()):
            await soon(lambda: answers(asking))
            yield asking


async def answers(connection: Connection) -> bool:
    """Tell whether the service answers."""
    with suppress(HeliographError):
        return (await connection.request(SUBJECT, timeout_s=1)).payload == b'{"ready":true}'
    return False


async def ask(connection: Connection, subject: str) -> dict[str, Any]:
    """Return one answer."""
    async with asyncio.timeout(10):
        return json.loads((await connection.request(subject, timeout_s=5)).payload)


@pytest.mark.parametrize("whom", ["", ".heliograph-test", ".heliograph-test.A1"])
async def test_a_service_is_found_as_nats_users_look_for_it(
    connection: Connection, whom: str
) -> None:
    """`nats service list`, `info` and `stats`: all, those of a name, one (ADR-32)."""
    identity = {"name": WHO.name, "id": "A1", "version": "1.2.3", "metadata": {"cluster": "x"}}
    ping = await ask(connection, f"$SRV.PING{whom}")
    assert ping == {"type": "io.nats.micro.v1.ping_response", **identity}

    info = await ask(connection, f"$SRV.INFO{whom}")
    assert info.pop("endpoints") == [
        {"name": "status", "subject": SUBJECT, "queue_group": "", "metadata": {}}
    ]
    assert info == {
        "type": "io.nats.micro.v1.info_response",
        **identity,
        "description": "Tests.",
    }

    stats = await ask(connection, f"$SRV.STATS{whom}")
    assert stats["type"] == "io.nats.micro.v1.stats_response"
    (endpoint,) = stats["endpoints"]
    assert endpoint["data"] == {"ready": True}
    assert endpoint["num_requests"] == 1
    assert endpoint["average_processing_time"] == endpoint["processing_time"] > 0


async def test_nobody_makes_a_program_write_elsewhere(connection: Connection) -> None:
    """Who may ask must not have it publish where it may and they may not."""
    heard: list[bytes] = []
    await connection.subscribe("heliograph.v1.>", lambda message: heard.append(message.payload))
    await connection.publish("$SRV.PING", reply="heliograph.v1.x.service.shop.cart")
    await ask(connection, "$SRV.PING")  # the one before was taken by now

    assert heard == []


async def test_a_service_comes_back_with_its_connection(
    connection: Connection, server: EmbeddedServer
) -> None:
    """A restart of the server is no end."""
    server.restart()
    await soon(lambda: answers(connection))


async def test_real_programs_tell_how_they_are() -> None:
    """Two clusters, their leases and exports, three programs each; and what is not taken."""
    spec = ServiceSpec(ports=(Port(port=80),))
    async with AsyncExitStack() as stack:
        ranges = {"east": "10.101.0.0/16", "west": "10.102.0.0/16"}
        accesses = {}
        for name, cidr in ranges.items():
            cluster = await stack.enter_async_context(memory_cluster(name, service_cidrs=(cidr,)))
            accesses[name] = cluster.access
        joined = await stack.enter_async_context(join(accesses, *ranges))
        await joined.clusters["west"].add_service("cart", spec, exported=False)
        await joined.clusters["east"].add_service("cart", spec)
        await joined.clusters["east"].add_service("till", spec)
        connection = await stack.enter_async_context(connected(joined.url))

        async def refused() -> Any:  # noqa: ANN401 - facts
            facts = await look(connection)
            return facts if facts.clusters["west"].refusals else None

        facts = await soon(refused)

    assert {c: one.exports for c, one in facts.clusters.items()} == {"east": 2, "west": 0}
    assert [r.reason for r in facts.clusters["west"].refusals] == ["ForeignObject"]
    told = sorted((one.cluster, one.program) for one in facts.programs)
    assert told == [(c, p) for c in ranges for p in ("peerer", "reflector", "watcher")]
    assert all(0 <= (one.lease_age_s or -1) < 10 for one in facts.clusters.values())
