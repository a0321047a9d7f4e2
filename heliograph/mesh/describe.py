"""Mesh events in one line each, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.contract.messages import (
    AnyMessage,
    ClusterAnnounced,
    EndpointsExported,
    LinkStated,
    NodeAnnounced,
    RefusalStated,
    ServiceExported,
    ServicePort,
)
from heliograph.mesh.event import MeshEvent


def describe(event: MeshEvent) -> str:
    """Return what is new, without whose it is; empty if there is nothing to say."""
    return event.reason or (_state(event.data) if event.data else "")


def _state(message: AnyMessage) -> str:
    match message:
        case ClusterAnnounced():
            return _cluster(message)
        case NodeAnnounced():
            return _node(message)
        case ServiceExported():
            return _service(message)
        case EndpointsExported():
            return _endpoints(message)
        case LinkStated():
            return _links(message)
        case RefusalStated():
            what = "/".join(filter(None, (message.namespace, message.name)))
            return f"{message.reason}: {message.kind} {what} of {message.exporting}"
        case _:
            return ""


def _cluster(message: ClusterAnnounced) -> str:
    ranges = (
        ("services", message.service_cidrs),
        ("pods", message.pod_cidrs),
        ("tunnels", message.tunnel_cidrs),
    )
    said = [f"{what} {','.join(cidrs)}" for what, cidrs in ranges if cidrs]
    return _joined((*said, f"peering {message.peering}", f"version {message.version}"))


def _node(message: NodeAnnounced) -> str:
    return _joined(
        (
            f"endpoint {message.endpoint}" if message.endpoint else "roaming",
            f"pods {','.join(message.pod_cidrs)}" if message.pod_cidrs else "",
            f"tunnel {message.tunnel_ip}" if message.tunnel_ip else "",
            "" if message.ready else "not ready",
            "changing its key" if message.next_public_key else "",
        )
    )


def _service(message: ServiceExported) -> str:
    where = "headless" if message.headless else ",".join(message.cluster_ips)
    return _joined(
        (
            f"{where} {_ports(message.ports)}".strip(),
            "mirrors have its pods" if message.endpoints == "pods" else "",
            "ready" if message.ready else "no backend is ready",
            "" if message.importers is None else f"only for {','.join(message.importers)}",
        )
    )


def _endpoints(message: EndpointsExported) -> str:
    ready = sum(one.ready for one in message.addresses)
    return (
        f"of {message.service}: {ready} of {len(message.addresses)} ready, {message.address_type}"
    )


def _links(message: LinkStated) -> str:
    return _joined(
        f"{link.exporting}: {link.answering} answering"
        + (f", silent {','.join(link.silent)}" if link.silent else "")
        for link in message.links
    )


def _ports(ports: tuple[ServicePort, ...]) -> str:
    return ",".join(f"{one.port}/{one.protocol}" for one in ports)


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(filter(None, parts))
