"""What planning costs after one change among many nodes, as the peerer does it: no I/O in it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from heliograph.admission.decide import decide
from heliograph.bench.many_nodes import (
    announced_cluster,
    announced_node,
    announced_nodes,
    cluster_name,
    node_name,
)
from heliograph.bench.peer_figures import Planning
from heliograph.contract.digest import LiveSet, fingerprint
from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from services.peerer.outlook import foresee
from services.peerer.picture import Picture
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable

_WEST: Final = ClusterId("west")
_WARM_UP: Final = 10
_EPOCH: Final = 1
_LONG_AGO: Final = "2026-01-01T00:00:00Z"


def planning(clusters: int, nodes: int, samples: int) -> Planning:
    """Measure so many changes of a node, each in another cluster, among so many nodes in all."""
    each = nodes // clusters
    picture = picture_of(clusters, each)
    taken_s = [
        planned_s(picture, number % clusters, number % each, f"198.51.100.7:{number + 1}")
        for number in range(_WARM_UP + samples)
    ][_WARM_UP:]
    return Planning(
        p50_ms=round(statistics.median(taken_s) * 1000, 2),
        max_ms=round(max(taken_s) * 1000, 2),
        clusters=clusters,
        nodes=clusters * each,
        samples=samples,
    )


def picture_of(clusters: int, nodes: int) -> Picture:
    """Return the picture of west with so many nodes in each cluster, and all their Peers."""
    picture = Picture(_WEST, PeererSettings(cluster=_WEST))
    for number in range(clusters):
        picture.tables[cluster_name(number)] = table_of(number, announced_nodes(number, nodes))
    declared = [found for c in picture.tables if (found := picture.declaration(c)) is not None]
    picture.decision = decide(None, declared, {}, _LONG_AGO)
    picture.changed()
    for cluster in picture.exporting():
        foresee(picture, cluster)
    return picture


def planned_s(picture: Picture, cluster: int, node: int, endpoint: str) -> float:
    """Let a node have another endpoint; return the processor time until it is planned for."""
    name = cluster_name(cluster)
    changed = announced_node(cluster, node, endpoint=endpoint)
    begun_s = time.process_time()
    fold(picture.tables[name], Kind.NODE, node_name(node), changed)
    picture.contested()
    picture.changed()
    picture.contested()
    picture.plan(name)
    taken_s = time.process_time() - begun_s
    foresee(picture, name)
    return taken_s


def table_of(cluster: int, nodes: Iterable[tuple[str, NodeAnnounced]]) -> NodeTable:
    """Return the nodes of a cluster that has said them all."""
    table, live = NodeTable(cluster_name(cluster)), LiveSet[str]()
    table.begin_replay()
    for name, node in nodes:
        subject, payload = fold(table, Kind.NODE, name, node)
        live.put(subject, fingerprint(subject, payload))
    table.end_replay()
    said = announced_cluster(cluster)
    said = msgspec.structs.replace(said, digests={str(Kind.NODE): live.digest()})
    fold(table, Kind.CLUSTER, table.cluster, said)
    return table


def fold(
    table: NodeTable, kind: Kind, name: str, message: ClusterAnnounced | NodeAnnounced
) -> tuple[str, bytes]:
    """Let a table take a message; return its subject and payload."""
    subject, payload = Subject(cluster=table.cluster, kind=kind, name=name), encode(message)
    table.fold(subject, message, payload, _EPOCH)
    return str(subject), payload
