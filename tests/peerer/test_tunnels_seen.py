"""The tunnels of a node as people and Prometheus see them."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from heliograph.contract.tunnels import PART_TUNNELS, Tunnel, in_parts
from heliograph.metrics import Metrics
from heliograph.wireguard.device import DevicePeer
from services.peerer.wireguard.seen import see_tunnels
from tests.base.test_metrics import UNITS
from tests.support.peers import but, key
from tests.support.tunnels import NEXT, SERVICES, Known, agents_node, standing

NOW_S = 1_800_000_000.0
ONE = DevicePeer(
    public_key=key(1),
    endpoint="203.0.113.21:51820",
    allowed_ips=frozenset({"10.1.1.0/24", "10.201.0.1/32", SERVICES}),
    last_handshake_s=NOW_S - 12.5,
    rx_bytes=1000,
    tx_bytes=2000,
)


def answering(picture: Known, *peers: DevicePeer) -> None:
    """Let these peers have sent something since they were looked at first."""
    picture.health.look(standing(*(but(p, rx_bytes=p.rx_bytes - 1) for p in peers)), now_s=0)
    picture.health.look(standing(*peers), now_s=1)


def test_a_tunnel_is_told_with_all_that_stands() -> None:
    """State, endpoint, age of the handshake, bytes, ranges, and which of these is a claim."""
    picture = Known({"n1": agents_node(1)})
    answering(picture, ONE)

    assert see_tunnels(picture, standing(ONE), now_s=NOW_S) == (
        Tunnel(
            exporting="east",
            peer="n1",
            public_key=key(1),
            state="answering",
            endpoint="203.0.113.21:51820",
            handshake_age_s=12.5,
            received_bytes=1000,
            sent_bytes=2000,
            ranges=("10.1.1.0/24", SERVICES, "10.201.0.1/32"),
            claims=(SERVICES,),
        ),
    )


def test_a_node_that_nobody_heard_of_yet_is_unknown() -> None:
    """Its peer may not even stand; one that announces no endpoint has to call first."""
    picture = Known({"n1": agents_node(1), "n2": agents_node(2, endpoint=None)})

    seen = see_tunnels(picture, standing(but(ONE, last_handshake_s=0.0)), now_s=NOW_S)

    assert [(t.peer, t.state, t.roams, t.handshake_age_s) for t in seen] == [
        ("n1", "unknown", False, None),
        ("n2", "roaming", True, None),
    ]


def test_both_keys_of_a_node_are_one_tunnel() -> None:
    """While a node changes its key, two peers stand for it: what they carried adds up."""
    picture = Known({"n1": agents_node(1, next_public_key=NEXT[1])})
    following = but(
        ONE,
        public_key=NEXT[1],
        allowed_ips=frozenset({SERVICES}),
        last_handshake_s=NOW_S - 2,
        rx_bytes=10,
        tx_bytes=20,
    )
    (seen,) = see_tunnels(picture, standing(ONE, following), now_s=NOW_S)

    assert (seen.received_bytes, seen.sent_bytes, seen.handshake_age_s) == (1010, 2020, 2.0)
    assert (seen.public_key, seen.next_public_key) == (NEXT[1], NEXT[1])


def test_a_handshake_in_the_future_is_new() -> None:
    """The clock was set back: an age is never negative."""
    picture = Known({"n1": agents_node(1)})
    (seen,) = see_tunnels(picture, standing(ONE), now_s=NOW_S - 3600)
    assert seen.handshake_age_s == 0.0


def exposed(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Return the samples about tunnels, by name and peer."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = (sample for family in families for sample in family.samples)
    return {
        (s.name, f"{s.labels['exporting']}/{s.labels['node']}"): s.value
        for s in samples
        if s.name.startswith("heliograph_tunnel_")
    }


def test_metrics_are_of_the_tunnels_that_there_are() -> None:
    """Three series for each peer; those of a peer that is gone are gone too."""
    picture = Known({"n1": agents_node(1), "n2": agents_node(2)})
    metrics = Metrics("agent", "here")
    metrics.measure_tunnels(lambda: see_tunnels(picture, standing(ONE), now_s=NOW_S))

    assert exposed(metrics) == {
        ("heliograph_tunnel_handshake_age_seconds", "east/n1"): 12.5,
        ("heliograph_tunnel_handshake_age_seconds", "east/n2"): math.inf,
        ("heliograph_tunnel_received_bytes_total", "east/n1"): 1000,
        ("heliograph_tunnel_received_bytes_total", "east/n2"): 0,
        ("heliograph_tunnel_sent_bytes_total", "east/n1"): 2000,
        ("heliograph_tunnel_sent_bytes_total", "east/n2"): 0,
    }
    assert all(name.endswith(UNITS) for name, _ in exposed(metrics))
    picture.change({"n2": agents_node(2)})
    assert {peer for _, peer in exposed(metrics)} == {"east/n2"}


def test_an_answer_comes_in_parts() -> None:
    """However many tunnels a node has, no part grows beyond what a bus carries."""
    one = Tunnel(exporting="east", peer="n1", public_key=key(1), state="unknown")

    parts = in_parts("w1", [one] * (2 * PART_TUNNELS + 1))

    assert [(p.part, p.parts, len(p.tunnels)) for p in parts] == [
        (0, 3, PART_TUNNELS),
        (1, 3, PART_TUNNELS),
        (2, 3, 1),
    ]
    assert [(p.part, p.parts, p.tunnels) for p in in_parts("w1", [])] == [(0, 1, ())]
