"""The members' own NATS users suffice: what explains reads as the programs do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from heliograph.bus import Connection, EmbeddedServer, ensure_stream
from heliograph.bus.streams import StreamSettings
from heliograph.contract.messages import RefusalStated, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name, stream_subjects
from heliograph.explain.facts import InCluster, OnBus
from heliograph.explain.listening import hear
from heliograph.imports.single import NotRead, read_last
from services.reflector.table import ServiceKey
from tests.bus.support import connected, embedded
from tests.support.explained import EAST, OF_EAST, OF_WEST, WEST, sound

pytestmark = pytest.mark.nats

CART = ServiceKey("shop", "cart")
DEPLOY = Path(__file__).parents[2] / "deploy/kubernetes"
SHIPPED = {
    "a shared bus": DEPLOY / "shared-bus/bus/users.yaml",
    "a bus of its own": DEPLOY / "nats/1-configuration.yaml",
}


def users(path: Path) -> str:
    """Return the users that are deployed, with passwords in place of certificates."""
    found = next(d for d in yaml.safe_load_all(path.read_text()) if "users.conf" in d["data"])
    return re.sub(r'user: "CN=(\w+)"', r'user: "\1", password: x', found["data"]["users.conf"])


@pytest.fixture(params=SHIPPED.values(), ids=SHIPPED)
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Run a bus with these users; west's stream, and on a shared one east's, hold messages."""
    config = users(request.param).replace("users = [", "users = [ { user: all, password: x }", 1)
    with embedded(tmp_path / "nats", extra_config=config) as server:
        async with connected(server.url, user="all", password="x") as connection:  # noqa: S106
            for cluster in (EAST, WEST):
                await make(connection, cluster)
        yield server


async def make(connection: Connection, cluster: ClusterId) -> None:
    """Make a cluster's stream with what concerns the Service."""
    name, subjects = stream_name(cluster), stream_subjects(cluster)
    await ensure_stream(connection, StreamSettings(name=name, subjects=subjects))
    announced = OF_EAST if cluster == EAST else OF_WEST
    exported = sound().said.service
    assert exported is not None
    refusal = RefusalStated(
        exporting=EAST, kind="service", namespace="shop", name="cart", reason="No", message="No."
    )
    root = f"heliograph.v1.{cluster}"
    for subject, message in {
        f"{root}.cluster.{cluster}": announced,
        f"{root}.service.shop.cart": exported,
        f"{root}.refusal.shop.east_cart": refusal,
        f"{root}.service.shop.other": exported,
    }.items():
        await connection.request(subject, encode(message))


async def heard(server: EmbeddedServer, identity: str, cluster: ClusterId) -> OnBus:
    """Return what an identity hears of a cluster."""
    settings = {"user": identity, "password": "x", "inbox_prefix": f"_INBOX_{identity}"}
    async with connected(server.url, **settings) as connection:
        return await hear(connection, InCluster(cluster=cluster), CART, (EAST,))


@pytest.mark.parametrize("identity", ["west", "east"])
async def test_members_may_read_what_is_explained(guarded: EmbeddedServer, identity: str) -> None:
    """The cluster's own user, and that of another one that imports from it."""
    said = await heard(guarded, identity, WEST)

    assert (said.fault, said.announced) == ("", OF_WEST)
    assert said.service == sound().said.service
    assert [refusal.reason for refusal in said.refusals] == ["No"]
    assert 0 <= said.age_s < 60


async def test_a_stream_that_is_not_there(guarded: EmbeddedServer) -> None:
    """It is named, at once."""
    settings = {"user": "all", "password": "x"}
    async with connected(guarded.url, **settings) as connection:
        with pytest.raises(NotRead, match="the stream of cluster south cannot be read: stream HE"):
            await read_last(connection, ClusterId("south"), ("heliograph.v1.south.cluster.south",))
