"""Peers and Events in the demo's tables."""

from __future__ import annotations

from heliograph.demo.show import events_table, peers_table
from heliograph.kilo.peer import DNSOrIP, Peer, PeerEndpoint, PeerSpec
from heliograph.kube.objects import Event, ObjectMeta, ObjectReference


def a_peer(name: str, endpoint: PeerEndpoint | None) -> Peer:
    spec = PeerSpec(
        allowed_ips=("10.1.0.0/24", "10.4.0.1/32"), endpoint=endpoint, public_key="abcdefghijkl="
    )
    return Peer(metadata=ObjectMeta(name=name), spec=spec)


def test_peers_are_one_line_each() -> None:
    """Ranges as in the spec, the endpoint as people write it, and enough of the key."""
    table = peers_table(
        [
            a_peer("east.node.n1", PeerEndpoint(dns_or_ip=DNSOrIP(ip="203.0.113.1"), port=51820)),
            a_peer("b", PeerEndpoint(dns_or_ip=DNSOrIP(dns="a.example"), port=1)),
            a_peer("c", None),
        ]
    )

    assert table.splitlines() == [
        "NAME           ALLOWED IPS               ENDPOINT            KEY",
        "east.node.n1   10.1.0.0/24,10.4.0.1/32   203.0.113.1:51820   abcdefgh...",
        "b              10.1.0.0/24,10.4.0.1/32   a.example:1         abcdefgh...",
        "c              10.1.0.0/24,10.4.0.1/32   <none>              abcdefgh...",
    ]


def test_events_are_shortened() -> None:
    """The whole sentence is in the frame below."""
    event = Event(
        metadata=ObjectMeta(name="e"),
        type="Warning",
        reason="RangeOverlap",
        note="word " * 40,
        regarding=ObjectReference(api_version="v1", kind="Namespace", name="heliograph"),
    )
    assert events_table([event]).splitlines()[1] == (
        "Warning   RangeOverlap   namespace/heliograph   " + ("word " * 12)[:60] + "..."
    )
    assert events_table([]) == ""
