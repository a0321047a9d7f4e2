"""Peers come to a cluster and go, on both kinds of API server: what the programs see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from heliograph.bus.background import alongside
from heliograph.kilo.peer import PEERS, DNSOrIP, PeerEndpoint
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, Invalid, NotFound
from heliograph.kube.objects import KubeObject, ObjectMeta, Resource
from heliograph.kube.watch import Deleted, Listed, ListWatch
from heliograph.lab.kilo import install_peer_crd
from tests.bus.support import eventually
from tests.support.builders import peer

pytest_plugins = ["tests.lab.api_fixtures"]

DEFINITIONS: Resource[KubeObject] = Resource(
    api="/apis/apiextensions.k8s.io/v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    struct=KubeObject,
)
NAME = "peers.kilo.squat.ai"
_PATIENCE_S = 60


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition of a server; fail when it never holds."""
    async with asyncio.timeout(_PATIENCE_S):
        while not await holds():  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.05)


async def absent(client: KubeClient) -> bool:
    """Whether the server knows no Peers."""
    try:
        await client.get(DEFINITIONS, "", NAME)
    except NotFound:
        try:
            await client.list(PEERS)
        except NotFound:
            return True
    return False


async def remove(client: KubeClient) -> None:
    """Remove the definition, and wait until Peers are unknown."""
    await client.delete(DEFINITIONS, ObjectMeta(name=NAME))
    await until(lambda: absent(client))


@pytest.fixture
async def kilo(kube: KubeClient) -> AsyncIterator[KubeClient]:
    """Give a cluster that knows Peers, for as long as the test lasts."""
    await install_peer_crd(kube)
    yield kube
    if not await absent(kube):
        await remove(kube)


async def test_peers_are_served_once_they_are_installed(kilo: KubeClient) -> None:
    """Right after it, Peers can be written; and a second time it changes nothing."""
    made = await kilo.create(PEERS, peer(endpoint="[2001:db8::1]:51820", persistent_keepalive=25))
    before = await kilo.get(DEFINITIONS, "", NAME)
    await install_peer_crd(kilo)

    assert made.spec.allowed_ips == ("10.42.0.0/24",)
    assert made.spec.endpoint == PeerEndpoint(dns_or_ip=DNSOrIP(ip="2001:db8::1"), port=51820)
    assert made.spec.persistent_keepalive == 25
    assert (await kilo.get(DEFINITIONS, "", NAME)).metadata.uid == before.metadata.uid
    with pytest.raises(AlreadyExists):
        await kilo.create(PEERS, peer())


async def test_a_definition_on_its_way_out_is_made_anew(kilo: KubeClient) -> None:
    """Installing waits for the end of the old one, then installs."""
    before = await kilo.get(DEFINITIONS, "", NAME)
    await kilo.create(PEERS, peer())
    await kilo.delete(DEFINITIONS, ObjectMeta(name=NAME))

    async def anew() -> bool:
        await install_peer_crd(kilo)
        try:
            found = await kilo.get(DEFINITIONS, "", NAME)
        except NotFound:
            return False
        return found.metadata.uid != before.metadata.uid

    await until(anew)


async def test_a_peer_that_is_not_valid_is_refused(kilo: KubeClient) -> None:
    """What the Struct leaves out because it is empty, the schema requires."""
    with pytest.raises(Invalid, match="publicKey"):
        await kilo.create(PEERS, peer(public_key=""))


async def test_peers_that_come_and_go_are_followed(kube: KubeClient) -> None:
    """Absent, installed, written, removed with their definition, and installed once more."""
    watch = ListWatch(kube, PEERS, look_again_s=0.05)
    names: set[str] = set()

    async def follow() -> None:
        async for event in watch.events():
            match event:
                case Listed():
                    names.clear()
                    names.update(item.metadata.name for item in event.items)
                case Deleted():
                    names.discard(event.object.metadata.name)
                case _:
                    names.add(event.object.metadata.name)

    async with alongside(follow()):
        await eventually(lambda: watch.absent and not watch.alive)
        for name in ("first", "second"):
            await install_peer_crd(kube)
            await eventually(lambda: watch.alive and not watch.absent)
            await kube.create(PEERS, peer(name))
            await eventually(lambda name=name: names == {name})
            await remove(kube)
            await eventually(lambda: watch.absent and not names)
