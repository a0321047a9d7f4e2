"""A cluster whose ranges overlap is refused where people see it; all others go on."""

from __future__ import annotations

import pytest

from heliograph.contract.messages import RefusalStated, decode
from heliograph.contract.subjects import Kind, kind_filter, parse_subject
from tests.peerer.conftest import Peer
from tests.support.joined import eventually
from tests.support.peering import Peered

pytestmark = pytest.mark.nats

OVERLAP = "RangeOverlap"


def collide(lab: Peered, cluster: str, cidr: str) -> None:
    """Let the nodes of a cluster have tunnel addresses in a range."""
    for name in ("n1", "n2"):
        lab.annotate(cluster, name, wireguard_ip=cidr)


def explained(lab: Peered, cluster: str) -> bool:
    """Tell whether an Event names the default, and the setting that mends it."""
    notes = [event["message"] for event in lab[cluster].events(OVERLAP)]
    return any("default" in note and "--subnet" in note for note in notes)


async def test_the_third_cluster_is_refused_and_the_others_go_on(peer: Peer) -> None:
    """No Peer of it is made; metric, log, bus, and Events in both clusters say why."""
    async with peer("east", "west", "south", start=False) as lab:
        collide(lab, "south", "10.4.0.1/16")  # east's
        await lab.start("east", "west")
        async with lab.lab.bus("west") as bus:
            stated: list[RefusalStated] = []

            def take(message: object) -> None:
                subject = parse_subject(message.subject)  # type: ignore[attr-defined]
                decoded = decode(subject, message.payload)  # type: ignore[attr-defined]
                if isinstance(decoded, RefusalStated):
                    stated.append(decoded)

            await bus.subscribe(kind_filter("west", Kind.REFUSAL), take)  # type: ignore[arg-type]
            await lab.start("south")
            await eventually(lambda: lab["west"].peerer.refused("south") == (OVERLAP,))
            await eventually(lambda: stated)

        assert (stated[0].exporting, stated[0].kind, stated[0].reason) == (
            "south",
            "cluster",
            OVERLAP,
        )
        for word in ("south", "east", "10.4.0.0/16", "--subnet"):
            assert word in stated[0].message
        await eventually(lambda: lab["west"].events(OVERLAP))
        await eventually(lambda: lab["south"].events(OVERLAP))
        labels = {"exporting": "south", "reason": OVERLAP}
        assert lab["west"].peer_metrics.registry.get_sample_value("heliograph_refusals", labels)
        assert [name for name in lab.peers("west") if name.startswith("south")] == []

        lab.add_node("east", "n3", 3)
        await eventually(lambda: "east.node.n3" in lab.peers("west"))


async def test_once_mended_it_is_peered_with(peer: Peer) -> None:
    """Nobody is restarted for it, and nothing that stood is touched."""
    async with peer("east", "west", "south", start=False) as lab:
        collide(lab, "south", "10.4.0.1/16")
        await lab.start("east", "west")
        before = lab.versions("west")
        await lab.start("south")
        await eventually(lambda: lab["west"].peerer.refused("south") == (OVERLAP,))

        collide(lab, "south", "10.6.0.1/16")
        await eventually(lambda: "south.node.n1" in lab.peers("west"))
        await eventually(lambda: lab["west"].peerer.refused("south") == ())
        after = lab.versions("west")
        assert {name: after[name] for name in before} == before


async def test_the_default_subnet_of_kilo_in_every_cluster(peer: Peer) -> None:
    """What people overlook most is found, and explained with the setting that mends it."""
    async with peer("east", "west", "south", start=False) as lab:
        for name in ("east", "west", "south"):
            collide(lab, name, "10.4.0.1/16")
        await lab.start("east", "west", "south")

        for name in ("east", "west", "south"):
            assert lab.peers(name) == {}
        for importing, exporting in (("east", "west"), ("west", "south"), ("south", "east")):
            assert lab[importing].peerer.refused(exporting) == (OVERLAP,)
            await eventually(lambda: explained(lab, importing))  # noqa: B023 - used at once


async def test_a_cluster_that_grows_into_another_is_refused_and_keeps_its_peers(peer: Peer) -> None:
    """Who was there first stays; of the other's Peers only the addresses of others go."""
    async with peer("east", "west", "south") as lab:
        before = lab.peers("west")
        lab.add_node("south", "n3", 3, pod_cidr="10.42.7.0/24")  # in east's declared range
        collide(lab, "south", "10.4.0.1/16")
        await eventually(lambda: lab["west"].peerer.refused("south") == (OVERLAP,))
        await lab.settled("west")

        assert {n for n in lab.peers("west") if n.startswith("south")} == {
            n for n in before if n.startswith("south")
        }
        assert lab.peers("west")["east.node.n1"] == before["east.node.n1"]


async def test_the_own_ranges_win(peer: Peer) -> None:
    """West takes nothing of east, and east nothing of west: each keeps what is its own."""
    async with peer("east", "west", start=False) as lab:
        collide(lab, "west", "10.4.0.1/16")
        await lab.start("east", "west")
        assert lab.peers("west") == lab.peers("east") == {}
        assert lab["west"].peerer.refused("east") == (OVERLAP,)
        assert lab["east"].peerer.refused("west") == (OVERLAP,)


async def test_the_record_holds_over_a_restart(peer: Peer) -> None:
    """Who came first is remembered by the importing cluster, whoever is heard first then."""
    async with peer("east", "west", "south", start=False) as lab:
        collide(lab, "south", "10.4.0.1/16")
        await lab.start("east", "west")
        await lab.start("south")
        await eventually(lambda: lab["west"].peerer.refused("south") == (OVERLAP,))
        before = lab.versions("west")
        await eventually(
            lambda: (lab["west"].api.get("ConfigMap", "heliograph", "clusterset") or {}).get("data")
        )

        await lab.lab.stop("peerer", "west")
        await lab.lab.stop("watcher", "east")
        await lab.lab.start_peerer("west")
        await eventually(lambda: lab["west"].peerer.refused("south") == (OVERLAP,))
        await lab.lab.start_watcher("east")
        await lab.settled("west")
        assert lab.versions("west") == before


async def test_a_colliding_node_address_refuses_that_node_only(peer: Peer) -> None:
    """Two networks at home may both have 192.168.1.34; the rest of the cluster is peered with."""
    async with peer("east", "west") as lab:
        lab.add_node("west", "n3", 3, internal_ip="10.30.0.9/24")
        lab.add_node("east", "n3", 3, internal_ip="10.30.0.9/24")
        lab.add_node("east", "n4", 4)
        await eventually(lambda: "east.node.n4" in lab.peers("west"))
        await eventually(lambda: lab["west"].peerer.refused("east") == ("AddressTaken",))
        assert "east.node.n3" not in lab.peers("west")
        await eventually(lambda: lab["east"].events("AddressTaken"))
