"""Nodes as Peers on real API servers: which writes there are, in what order, and which are not."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from heliograph.bus import ConnectionSettings, connect
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.objects import ObjectMeta
from heliograph.lab.access import ClusterAccess
from heliograph.run import joined as running
from services.watcher.settings import WatcherSettings
from tests.end_to_end.peering import RANGES, PeeredClusters, peered
from tests.end_to_end.support import eventually
from tests.support.peering import key_of

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]

N1, N2, N3 = (f"east.node.n{number}" for number in (1, 2, 3))
SERVICES = RANGES["east"][0]
BEATS = 20


async def holders(lab: PeeredClusters) -> dict[str, str]:
    """Wait until each of east's ranges of cluster IPs has one holder; return who has them."""

    def one() -> bool:
        return all(len(lab.seen.holders(cidr)) == 1 for cidr in RANGES["east"])

    await eventually(one)
    return {cidr: lab.seen.holders(cidr)[0] for cidr in RANGES["east"]}


async def test_equal_names_in_three_clusters_and_a_laptop(accesses: Accesses) -> None:
    """Each node is a Peer in each other cluster, by its cluster; a Peer of others is untouched."""
    async with peered(accesses, "east", "west", "north") as lab:
        names = [f"{c}.node.n{n}" for c in ("east", "west", "north") for n in (1, 2)]
        for cluster in ("east", "west", "north"):
            await lab.named(*(n for n in names if not n.startswith(cluster)), cluster=cluster)
        laptop = await lab.by_hand("laptop", key_of("laptop"), "10.99.0.5/32")

        await lab.nodes["east"].add(lab.node("east", 3))
        for cluster in ("west", "north"):
            wanted = {*(n for n in names if not n.startswith(cluster)), N3}
            await lab.named(*wanted, *(["laptop"] if cluster == "west" else []), cluster=cluster)
        await holders(lab)
        assert await lab.peer("laptop") == laptop
        found = lab.seen.peers[N3].spec
        assert found.allowed_ips[:3] == ("10.128.2.0/24", "10.32.0.3/32", "10.64.0.3/32")


async def test_nodes_go_and_the_claim_moves_before(accesses: Accesses) -> None:
    """A deleted node's Peer goes last; what has to be done to the others is done once, or twice."""
    async with peered(accesses, "east", "west") as lab:
        await lab.nodes["east"].add(lab.node("east", 3))
        await eventually(lambda: N3 in lab.seen.peers)
        holder = (await holders(lab))[SERVICES]
        before = dict(lab.seen.peers)
        generations = {name: await lab.generation(name) for name in before}
        lab.seen.events.clear()
        await lab.nodes["east"].remove(holder.rpartition(".")[2])
        await eventually(lambda: holder not in lab.seen.peers)
        await holders(lab)
        await lab.settled()

        assert lab.seen.of(holder)[-1] == "gone"
        for name, peer in lab.seen.peers.items():
            assert peer.metadata.uid == before[name].metadata.uid
            assert await lab.generation(name) <= generations[name] + 2


async def test_a_new_key_is_one_update(accesses: Accesses) -> None:
    """The Peer stays the same object and changes once: no moment with two, none without."""
    async with peered(accesses, "east", "west") as lab:
        before, generation = await lab.peer(N1), await lab.generation(N1)
        lab.seen.events.clear()
        key = await lab.nodes["east"].change_key("n1")
        await eventually(lambda: lab.seen.peers[N1].spec.public_key == key)
        await lab.marked()

        after = await lab.peer(N1)
        assert lab.seen.of(N1) == ["changed"]
        assert after.metadata.uid == before.metadata.uid
        assert await lab.generation(N1) == generation + 1
        assert after.spec == msgspec.structs.replace(before.spec, public_key=key)


async def test_a_new_leader_is_one_update(accesses: Accesses) -> None:
    """A location's Peer is named after the location, so it only changes key and endpoint."""
    nodes = {
        "east": tuple(
            msgspec.structs.replace(node, location=place, granularity="location")
            for node, place in (
                *((lab_node, "lab") for lab_node in (_east(1), _east(2))),
                (_east(3), "yard"),
            )
        )
    }
    async with peered(accesses, "east", "west", nodes=nodes) as lab:
        await lab.named("east.location.lab", "east.location.yard")
        held, before = await holders(lab), await lab.peer("east.location.lab")
        generation = await lab.generation("east.location.lab")
        assert before.spec.public_key == lab.nodes["east"].node("n1").key
        lab.seen.events.clear()

        await lab.annotate("east", "n2", leader="true")
        wanted = lab.nodes["east"].node("n2")
        await eventually(lambda: lab.seen.peers["east.location.lab"].spec.public_key == wanted.key)
        await lab.settled()

        after = await lab.peer("east.location.lab")
        assert [(e.what, e.name) for e in lab.seen.events] == [("changed", "east.location.lab")]
        assert after.metadata.uid == before.metadata.uid
        assert await lab.generation("east.location.lab") == generation + 1
        assert after.spec.allowed_ips == before.spec.allowed_ips
        assert await holders(lab) == held


def _east(number: int) -> object:
    return PeeredClusters().node("east", number)


async def test_heartbeats_are_no_messages_and_no_writes(accesses: Accesses) -> None:
    """What the bus and both API servers see of many beats is nothing at all."""
    messages: list[str] = []
    async with peered(accesses, "east", "west") as lab:
        settings = ConnectionSettings(urls=(lab.joined.url,), name="test")
        async with connect(settings, on_warning=lambda _: None) as bus:
            await bus.subscribe("heliograph.v1.east.node.>", lambda m: messages.append(m.subject))
            since_s, before = time.monotonic(), await lab.versions()
            now_s = int(time.time())
            for ago_s in range(BEATS, 0, -1):
                for node in lab.nodes["east"].names:
                    await lab.annotate("east", node, **{"last-seen": str(now_s - ago_s)})
            assert await lab.versions() == before
            assert [lab.writes(c, since_s) for c in ("east", "west")] == [{}, {}]

            await lab.marked()
            assert lab.written(since_s) == {"create": 1}
            assert messages == ["heliograph.v1.east.node.zz"]


async def test_a_rollout_writes_nothing(accesses: Accesses) -> None:
    """Kilo's agents stop and start, one after another and all at once: no Peer is touched."""
    async with peered(accesses, "east", "west") as lab:
        since_s, before = time.monotonic(), await lab.versions()
        nodes = lab.nodes["east"]
        for name in nodes.names:
            await nodes.rollout(name, pause_s=0.3)
        await asyncio.gather(*(nodes.stop(name) for name in nodes.names))
        await asyncio.gather(*(nodes.start(name) for name in nodes.names))
        await lab.marked()

        after = await lab.versions()
        assert {name: after[name] for name in before} == before
        assert lab.written(since_s) == {"create": 1}


async def test_silence_and_then_a_withdrawal(
    accesses: Accesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent node's claim moves and its tunnel address goes; when its grace is over, its Peer."""

    def impatient(cluster: str) -> WatcherSettings:
        return WatcherSettings(cluster=cluster, node_grace_s=3)

    monkeypatch.setattr(running, "WatcherSettings", impatient)
    async with peered(accesses, "east", "west") as lab:
        holder = (await holders(lab))[SERVICES]
        silent = holder.rpartition(".")[2]
        (other,) = {N1, N2} - {holder}
        lab.seen.events.clear()
        tunnel = lab.nodes["east"].tunnel_ip(silent).partition("/")[0]
        await lab.nodes["east"].go_silent(silent, ago_s=60)
        await eventually(lambda: lab.seen.holders(SERVICES) == [other])
        await eventually(lambda: f"{tunnel}/32" not in _allowed(lab, holder))
        await eventually(lambda: holder not in lab.seen.peers)
        assert lab.seen.of(holder) == ["changed", "gone"] or lab.seen.of(holder) == [
            *("changed", "changed", "gone"),
        ]

        await lab.nodes["east"].start(silent)
        await eventually(lambda: holder in lab.seen.peers)
        assert set((await holders(lab)).values()) == {other}  # nothing moves without need


def _allowed(lab: PeeredClusters, name: str) -> tuple[str, ...]:
    peer = lab.seen.peers.get(name)
    return peer.spec.allowed_ips if peer else ()


async def test_what_hands_do_to_our_peers_is_repaired(accesses: Accesses) -> None:
    """Edits and deletions are made good in a moment; a preshared key of people's own stays."""
    async with peered(accesses, "east", "west") as lab:
        west, before = lab.clients["west"], await lab.peers()
        secret = key_of("secret")
        for patch in (
            {"spec": {"allowedIPs": ["10.99.9.0/24"]}},
            {"spec": {"publicKey": key_of("other")}},
            {
                "spec": {"endpoint": None},
                "metadata": {"annotations": {"heliograph.io/segment": ""}},
            },
            {"spec": {"presharedKey": secret, "persistentKeepalive": 7}},
        ):
            lab.seen.forgive()
            await west.merge_patch(PEERS, "", N1, patch)
            await eventually(lambda: _is(lab, before[N1]))
        assert (await lab.peer(N1)).spec.preshared_key == secret

        lab.seen.forgive()
        for name in (N1, N2):
            await west.delete(PEERS, ObjectMeta(name=name))
        await lab.named(N1, N2)
        await holders(lab)


async def _is(lab: PeeredClusters, wanted: Peer) -> bool:
    found = await lab.peer(wanted.metadata.name)
    spec = msgspec.structs.replace(found.spec, preshared_key="")
    return (spec, found.metadata.annotations) == (wanted.spec, wanted.metadata.annotations)


async def test_the_longest_node_name(accesses: Accesses) -> None:
    """253 characters are a node's name; its Peer's is as long at most, and goes with it."""
    name = ".".join(["a" * 62] * 3 + ["b" * 64])[:253].strip(".")
    name = name + "c" * (253 - len(name))
    async with peered(accesses, "east", "west") as lab:
        await lab.nodes["east"].add(msgspec.structs.replace(lab.node("east", 3), name=name))
        await eventually(lambda: len(lab.seen.peers) == 3)
        (long,) = set(lab.seen.peers) - {N1, N2}
        assert long.startswith("east.node.a")
        assert len(long) <= 253
        await lab.nodes["east"].remove(name)
        await lab.named(N1, N2)


async def test_one_bad_node_does_not_block_the_others(accesses: Accesses) -> None:
    """Of two nodes with one key the first is peered with; who comes after them, is as well."""
    async with peered(accesses, "east", "west") as lab:
        nodes = lab.nodes["east"]
        doubled = msgspec.structs.replace(lab.node("east", 3), key=nodes.node("n1").key)
        await nodes.add(doubled)
        await eventually(lambda: lab.peerer("west").refused("east") == ("DuplicateKey",))  # type: ignore[arg-type]
        await lab.marked()
        await lab.named(N1, N2, "east.node.zz")
        await nodes.change_key("n3")
        await lab.named(N1, N2, N3, "east.node.zz")
        await eventually(lambda: lab.peerer("west").refused("east") == ())  # type: ignore[arg-type]


async def test_two_nodes_swap_their_keys(accesses: Accesses) -> None:
    """Whatever the order in which it is heard, no two Peers have one key, and it ends right."""
    async with peered(accesses, "east", "west") as lab:
        nodes = lab.nodes["east"]
        first, second = (nodes.node(name).key for name in ("n1", "n2"))
        await nodes.change("n1", key=second)
        await nodes.change("n2", key=first)
        wanted = {second, first}

        def right() -> bool:
            by_pods = {p.spec.allowed_ips[0]: p.spec.public_key for p in lab.seen.peers.values()}
            return by_pods == {"10.128.0.0/24": second, "10.128.1.0/24": first}

        await eventually(right)
        await lab.settled()
        assert {p.spec.public_key for p in lab.seen.peers.values()} == wanted
        await holders(lab)
