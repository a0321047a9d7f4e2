"""Nodes with Kilo, played: what they say, when, and what goes and comes."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from heliograph.bus.background import alongside
from heliograph.errors import InputError
from heliograph.kilo.facts import NodeFacts, node_facts
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from heliograph.kube.objects import NODES, Node, ObjectMeta
from heliograph.lab.clusters import service_cidr
from heliograph.lab.kilo import KiloNode, KiloNodes, kilo_nodes, kilo_subnet
from heliograph.lab.kilo.node import tunnel_ips

pytest_plugins = ["tests.lab.api_fixtures"]

N1, N2, N3 = kilo_nodes(0, 3)
ALL_CLUSTERS = range(250)
_PATIENCE_S = 30


@pytest.fixture
async def kilo(kube: KubeClient) -> AsyncIterator[KiloNodes]:
    """Give nodes in a cluster, which go when the test ends."""
    nodes = KiloNodes(kube, subnet="10.4.0.0/16", heartbeat_s=0.1, seed=1)
    yield nodes
    for name in nodes.names:
        await nodes.remove(name)


async def read(client: KubeClient, name: str) -> Node:
    """Return a node as it stands in the cluster."""
    return await client.get(NODES, "", name)


async def facts(client: KubeClient, name: str) -> NodeFacts:
    """Return what Kilo says of a node."""
    found = node_facts(await read(client, name))
    assert found is not None
    return found


async def later(client: KubeClient, name: str, than_s: int) -> int:
    """Return a node's heartbeat as soon as it is later."""
    async with asyncio.timeout(_PATIENCE_S):
        while (seen_s := (await facts(client, name)).last_seen_s) <= than_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return seen_s


async def test_nodes_say_what_kilos_agent_says(kube: KubeClient, kilo: KiloNodes) -> None:
    """They are read as any node of a Kilo cluster is."""
    await kilo.add(
        KiloNode(
            name="n1",
            pod_cidr="10.42.0.0/24",
            endpoint="203.0.113.10:51820",
            internal_ip="10.0.0.4/24",
            location="lab",
            granularity="location",
            more={"leader": "true", "persistent-keepalive": "25"},
        )
    )
    announced = (await facts(kube, "n1")).announced

    assert announced.public_key == kilo.node("n1").key
    assert announced.endpoint == "203.0.113.10:51820"
    assert announced.pod_cidrs == ("10.42.0.0/24",)
    assert (announced.private_ip, announced.tunnel_ip) == ("10.0.0.4", "10.4.0.1/16")
    assert (announced.location, announced.granularity) == ("lab", "location")
    assert (announced.leader, announced.persistent_keepalive) == (True, 25)


async def test_hearts_beat_until_they_fall_silent(kube: KubeClient, kilo: KiloNodes) -> None:
    """Of two nodes the one that fell silent grows old; then the other has its tunnel address."""
    await kilo.add(N1, N2)
    began_s = (await facts(kube, "n2")).last_seen_s
    await kilo.go_silent("n1", ago_s=61)
    silent_s = (await facts(kube, "n1")).last_seen_s
    async with alongside(kilo.beat()):
        await later(kube, "n2", began_s + 1)

    assert silent_s <= began_s - 59
    assert (await facts(kube, "n1")).last_seen_s == silent_s
    assert (await facts(kube, "n2")).announced.tunnel_ip == "10.4.0.1/16"

    await kilo.start("n1")
    assert (await facts(kube, "n1")).last_seen_s > silent_s
    assert (await facts(kube, "n2")).announced.tunnel_ip == "10.4.0.2/16"


async def test_an_agent_that_stops_takes_away_what_it_wrote(
    kube: KubeClient, kilo: KiloNodes
) -> None:
    """What people wrote stays; a rollout brings the rest back, with the same key."""
    await kilo.add(
        KiloNode(name="n0", pod_cidr="10.42.9.0/24", endpoint="a.example:1", location="x")
    )
    key = (await facts(kube, "n0")).announced.public_key
    await kilo.stop("n0")
    stopped = await read(kube, "n0")
    await kilo.rollout("n0")

    assert set(stopped.metadata.annotations) == {"kilo.squat.ai/location"}
    assert node_facts(stopped) is None
    assert (await facts(kube, "n0")).announced.public_key == key


async def test_a_node_changes_its_key_and_its_endpoint(kube: KubeClient, kilo: KiloNodes) -> None:
    """Each is one write, and the rest stays."""
    await kilo.add(N1)
    before = (await facts(kube, "n1")).announced
    key = await kilo.change_key("n1")
    await kilo.change("n1", endpoint="203.0.113.99:51821")
    after = (await facts(kube, "n1")).announced

    assert key not in {"", before.public_key}
    assert (after.public_key, after.endpoint) == (key, "203.0.113.99:51821")
    assert (after.pod_cidrs, after.tunnel_ip) == (before.pod_cidrs, before.tunnel_ip)


async def test_nodes_come_and_go(kube: KubeClient, kilo: KiloNodes) -> None:
    """Tunnel addresses are positions: they move for those behind."""
    await kilo.add(N1, N3)
    first = (await facts(kube, "n3")).announced.tunnel_ip
    await kilo.add(N2)
    second = (await facts(kube, "n3")).announced.tunnel_ip
    await kilo.remove("n1")
    third = (await facts(kube, "n3")).announced.tunnel_ip

    assert [first, second, third] == ["10.4.0.2/16", "10.4.0.3/16", "10.4.0.2/16"]
    with pytest.raises(NotFound):
        await read(kube, "n1")


async def test_a_node_that_somebody_deletes_stops_no_heart(
    kube: KubeClient, kilo: KiloNodes
) -> None:
    """The others go on."""
    await kilo.add(N1, N2)
    began_s = (await facts(kube, "n2")).last_seen_s
    await kube.delete(NODES, (await read(kube, "n1")).metadata)
    async with alongside(kilo.beat()):
        await later(kube, "n2", began_s)
    await kube.create(NODES, Node(metadata=ObjectMeta(name="n1")))  # as all others, it is removed


async def test_a_seed_makes_the_same_keys(kube: KubeClient) -> None:
    """Two runs with one seed are the same; the keys of one run differ."""
    keys = []
    for seed in (5, 5, None):
        nodes = KiloNodes(kube, seed=seed)
        await nodes.add(N1, N2)
        keys.append([nodes.node(name).key for name in nodes.names])
        for name in nodes.names:
            await nodes.remove(name)

    assert keys[0] == keys[1] != keys[2]
    assert keys[0][0] != keys[0][1]


def test_tunnel_addresses_follow_the_segments() -> None:
    """Locations come before single nodes, each with one address, which its first node carries."""
    usual = {"pod_cidr": "10.42.0.0/24", "endpoint": "a.example:1", "granularity": "location"}
    placed = [("b", "x", "10.0.0.1/8"), ("a", "x", "10.0.0.2/8"), ("c", "", "10.0.0.3/8")]
    nodes = [KiloNode(name=n, location=x, internal_ip=i, **usual) for n, x, i in placed]
    alone = KiloNode(name="0", location="x", **usual)
    full = [KiloNode(name=n, pod_cidr="", endpoint="") for n in ("n2", "n10", "n1")]

    assert tunnel_ips([*nodes, alone], "10.4.0.0/16") == {
        "0": "10.4.0.3/16",
        "a": "10.4.0.2/16",
        "b": "",
        "c": "10.4.0.1/16",
    }
    assert list(tunnel_ips(full, "10.6.0.0/24").items()) == [
        ("n1", "10.6.0.1/24"),
        ("n10", "10.6.0.2/24"),
        ("n2", "10.6.0.3/24"),
    ]


def test_no_two_clusters_of_the_laboratory_overlap() -> None:
    """Cluster IPs, pods, tunnels and nodes of as many clusters as there can be are all apart."""
    given = [
        [
            *(service_cidr(number), kilo_subnet(number)),
            *(node.pod_cidr for node in kilo_nodes(number, 126)),
            str(ipaddress.ip_interface(kilo_nodes(number, 1)[0].internal_ip).network),
        ]
        for number in ALL_CLUSTERS
    ]
    ranges = sorted(ipaddress.IPv4Network(r) for cluster in given for r in cluster)
    endpoints = [node.endpoint for number in ALL_CLUSTERS for node in kilo_nodes(number, 126)]

    assert not any(a.overlaps(b) for a, b in pairwise(ranges))
    assert len(set(endpoints)) == len(endpoints)


@pytest.mark.parametrize("count", [0, 127])
def test_too_few_or_too_many_nodes(count: int) -> None:
    """The refusal says how many there can be."""
    with pytest.raises(InputError, match=r"--nodes .* from 1 to 126"):
        kilo_nodes(0, count)
