"""Objects as `kubectl get` shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heliograph.kube.objects import EndpointSlice, Service


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
