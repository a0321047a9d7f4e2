"""Objects as `kubectl get` shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from heliograph.kilo.peer import Peer
from heliograph.kube.objects import EndpointSlice, Event, Service

_KEY_SHOWN: Final = 8
_NOTE_SHOWN: Final = 60


def services_table(services: Iterable[Service]) -> str:
    """Return NAME, TYPE, CLUSTER-IP, PORT(S) of Services."""
    rows = [
        (
            f"service/{s.metadata.name}",
            s.spec.type,
            s.spec.cluster_ip,
            ",".join(f"{p.port}/{p.protocol}" for p in s.spec.ports) or "<none>",
        )
        for s in services
    ]
    return _table(("NAME", "TYPE", "CLUSTER-IP", "PORT(S)"), rows)


def slices_table(slices: Iterable[EndpointSlice]) -> str:
    """Return NAME, ADDRESSTYPE, PORTS, ENDPOINTS, READY of EndpointSlices."""
    rows = [
        (
            f"endpointslice/{s.metadata.name}",
            s.address_type,
            ",".join(str(p.port) for p in s.ports or ()) or "<unset>",
            ",".join(e.addresses[0] for e in s.endpoints or ()) or "<unset>",
            ",".join(str(e.conditions.ready).lower() for e in s.endpoints or ()) or "<unset>",
        )
        for s in slices
    ]
    return _table(("NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "READY"), rows)


def peers_table(peers: Iterable[Peer]) -> str:
    """Return NAME, ALLOWED IPS, ENDPOINT, KEY of Peers; keys are shortened."""
    rows = [
        (
            peer.metadata.name,
            ",".join(peer.spec.allowed_ips),
            _endpoint(peer),
            f"{peer.spec.public_key[:_KEY_SHOWN]}...",
        )
        for peer in peers
    ]
    return _table(("NAME", "ALLOWED IPS", "ENDPOINT", "KEY"), rows)


def events_table(events: Iterable[Event]) -> str:
    """Return TYPE, REASON, OBJECT, MESSAGE of Events; messages are shortened."""
    rows = [
        (
            event.type,
            event.reason,
            f"{event.regarding.kind.lower()}/{event.regarding.name}",
            f"{event.note[:_NOTE_SHOWN]}...",
        )
        for event in events
    ]
    return _table(("TYPE", "REASON", "OBJECT", "MESSAGE"), rows)


def _endpoint(peer: Peer) -> str:
    endpoint = peer.spec.endpoint
    if endpoint is None:
        return "<none>"
    return f"{endpoint.dns_or_ip.dns or endpoint.dns_or_ip.ip}:{endpoint.port}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns; empty without rows."""
    if not rows:
        return ""
    lines = [header, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
