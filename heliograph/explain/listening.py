"""Reads from one cluster's stream what concerns one Service: single subjects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from heliograph.bus import Connection, Delivery
from heliograph.clock import now_ns
from heliograph.contract.messages import (
    AnyMessage,
    ClusterAnnounced,
    ClusterWithdrawn,
    EndpointsExported,
    MalformedMessage,
    NodeAnnounced,
    RefusalStated,
    ServiceExported,
    decode,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    Kind,
    MalformedSubject,
    Subject,
    general_refusals_filter,
    parse_subject,
)
from heliograph.errors import HeliographError
from heliograph.explain.facts import API, InCluster, OnBus
from heliograph.explain.offered import endpoint_subjects
from heliograph.imports.single import read_last
from services.reflector.table import ServiceKey

_NS: Final = 1e9


async def hear(
    connection: Connection, there: InCluster, key: ServiceKey, exporting: Iterable[ClusterId]
) -> OnBus:
    """Return what a cluster's stream holds about a Service; it raises nothing.

    Args:
        connection: The bus.
        there: The cluster, as far as its API server shows it.
        key: The Service.
        exporting: Clusters of which this one may refuse the Service.
    """
    cluster = there.cluster
    subjects = [
        Subject(cluster=cluster, kind=Kind.CLUSTER, name=cluster),
        Subject(cluster=cluster, kind=Kind.SERVICE, namespace=key.namespace, name=key.name),
        *(endpoint_subjects(there, key.namespace) if API not in there.unread else ()),
        *(_refusal(cluster, key, one) for one in exporting if one != cluster),
    ]
    try:
        wanted = (*map(str, subjects), general_refusals_filter(cluster))
        found = await read_last(connection, cluster, wanted)
    except HeliographError as error:
        return OnBus(cluster=cluster, fault=str(error))
    return _on_bus(cluster, found)


async def with_nodes(connection: Connection, said: OnBus, nodes: Iterable[str]) -> OnBus:
    """Return what is known of a stream, with some of the cluster's nodes."""
    subjects = [Subject(cluster=said.cluster, kind=Kind.NODE, name=node) for node in nodes]
    if not subjects or said.fault:
        return said
    try:
        found = await read_last(connection, said.cluster, map(str, subjects))
    except HeliographError as error:
        return msgspec.structs.replace(said, fault=str(error))
    read = dict(_decoded(found))
    known = {s.name: m for s, m in read.items() if isinstance(m, NodeAnnounced)}
    return msgspec.structs.replace(said, nodes=known)


def _on_bus(cluster: ClusterId, found: Mapping[str, Delivery]) -> OnBus:
    read = dict(_decoded(found))
    own = str(Subject(cluster=cluster, kind=Kind.CLUSTER, name=cluster))
    stored_at_ns = found[own].stored_at_ns if own in found else now_ns()
    messages = tuple(read.values())
    announced = (m for m in messages if isinstance(m, ClusterAnnounced | ClusterWithdrawn))
    return OnBus(
        cluster=cluster,
        announced=next(announced, None),
        age_s=max(0.0, (now_ns() - stored_at_ns) / _NS),
        service=next((m for m in messages if isinstance(m, ServiceExported)), None),
        unreadable=any(m is None for s, m in read.items() if s.kind is Kind.SERVICE),
        endpoints={s.name: m for s, m in read.items() if isinstance(m, EndpointsExported)},
        refusals=tuple(m for m in messages if isinstance(m, RefusalStated)),
    )


def _decoded(found: Mapping[str, Delivery]) -> Iterator[tuple[Subject, AnyMessage | None]]:
    """Yield the messages by subject; None for one that this version cannot read."""
    for text, delivery in found.items():
        with suppress(MalformedSubject):
            subject = parse_subject(text)
            try:
                yield subject, decode(subject, delivery.payload)
            except MalformedMessage:
                yield subject, None


def _refusal(importing: ClusterId, key: ServiceKey, exporting: ClusterId) -> Subject:
    name = f"{exporting}.{key.name}"
    return Subject(cluster=importing, kind=Kind.REFUSAL, namespace=key.namespace, name=name)
