"""Which Peers would be in a cluster, from the API servers alone: no bus, nothing written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.errors import TerminalError
from heliograph.kilo.mesh import mesh_of
from heliograph.kilo.peer import PEERS, Peer
from heliograph.kube.client import KubeClient
from heliograph.run.changes import Change, change_of
from heliograph.run.planning import Clusters, in_time, opened, read_offers, table_of
from heliograph.run.programs import cluster
from services.peerer.desired import DesiredPeer
from services.peerer.hearing import decide_admissions
from services.peerer.outlook import Outlook, foresee
from services.peerer.picture import Picture
from services.peerer.preview import read_picture
from services.peerer.refusal import Refusal
from services.peerer.render import marked
from services.peerer.rights import rights
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable
from services.watcher.offer import Offer


class Peers(msgspec.Struct, frozen=True, kw_only=True):
    """A plan of Peers.

    Attributes:
        outlooks: What becomes of each exporting cluster's Peers.
        segments: By node, the parts of meshes that it is in: cluster and name of each.
        absent: Whether the importing cluster has no kind Peer.
    """

    outlooks: tuple[Outlook, ...]
    segments: Mapping[str, frozenset[tuple[ClusterId, str]]]
    absent: bool = False

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """All that is not taken."""
        return tuple(refusal for outlook in self.outlooks for refusal in outlook.refusals)


async def plan_peers(clusters: Clusters, extras: Sequence[str] = ()) -> Peers:
    """Return what the importing cluster's peerer would do about the exporting clusters' nodes.

    Args:
        clusters: Which ones.
        extras: More ranges, canonical, that go to one of each cluster's Peers as cluster IPs do.

    Raises:
        InputError: A cluster does not answer, or does not let us read.
        NotFinished: One could not be read in a minute.
    """
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(in_time(_read_own(clusters)))
        offering = tasks.create_task(read_offers(clusters.exporting))
    picture, offers = reading.result(), [_extended(o, extras) for o in offering.result()]
    return Peers(
        outlooks=judge_peers(picture, offers), segments=_segments(offers), absent=picture.absent
    )


async def adopt_peers(clusters: Clusters) -> list[str]:
    """Take over, in place, the Peers that people made by hand for nodes of the exporting clusters.

    Only marks change: which node a Peer stands for, and that it is ours. Its name stays, as a Peer
    that is deleted and made anew costs Kilo minutes; the peerer brings the rest to order.

    Returns:
        A line for each Peer, in words.

    Raises:
        InputError: A cluster does not answer, or does not let us.
        NotFinished: One could not be read in a minute.
        Conflict: A Peer changed meanwhile; those before it are adopted.
    """
    offers = await read_offers(clusters.exporting)
    importing, settings = clusters.importing, PeererSettings(cluster=clusters.importing)
    async with cluster(importing, clusters.access, rights(settings)) as client:
        picture = await read_picture(settings, client)
        _take(picture, offers)
        return [
            await _adopt(client, offer.cluster, peer, found)
            for offer in offers
            for peer, found in _by_hand(picture, offer.cluster)
        ]


def _by_hand(picture: Picture, exporting: ClusterId) -> Iterator[tuple[DesiredPeer, Peer]]:
    """Yield the Peers that are not ours and hold the key of one that should be."""
    desired = picture.desired(exporting)
    wanted = {peer.spec.public_key: peer for peer in (desired.peers if desired else None) or ()}
    for peer in picture.own.foreign():
        if peer.spec.public_key in wanted:
            yield wanted[peer.spec.public_key], peer


async def _adopt(client: KubeClient, exporting: ClusterId, peer: DesiredPeer, found: Peer) -> str:
    await client.replace(PEERS, marked(found, exporting, peer.segment))
    return (
        f"Peer {found.metadata.name} in cluster {client.cluster} is managed by Heliograph now, as "
        f"node {peer.leader} of cluster {exporting}; it keeps its name"
    )


def judge_peers(picture: Picture, offers: Sequence[Offer]) -> tuple[Outlook, ...]:
    """Return what offers of nodes cause in a cluster, by exporting cluster."""
    _take(picture, offers)
    return tuple(foresee(picture, offer.cluster) for offer in offers)


def _take(picture: Picture, offers: Sequence[Offer]) -> None:
    """Let the picture know the clusters that offer, and whom of them it admits."""
    picture.tables |= {o.cluster: table_of(o, NodeTable(o.cluster)) for o in offers}
    decide_admissions(picture)


def changes_of(peers: Peers) -> Iterator[Change]:
    """Yield what becomes of each Peer, and each refusal, as people and programs read them."""
    for outlook in peers.outlooks:
        for name in sorted(outlook.before.keys() | outlook.after.keys()):
            change = change_of("Peer", outlook.before.get(name), outlook.after.get(name))
            if change is not None:
                yield change
    for refusal in peers.refusals:
        yield Change(
            action="refuse",
            kind=refusal.kind.capitalize(),
            name=refusal.name,
            reason=refusal.reason,
            message=refusal.message,
        )


def announced_nodes(offer: Offer) -> Mapping[str, NodeAnnounced]:
    """Return the nodes of an offer by name."""
    messages = offer.messages.items()
    return {subject.name: m for subject, m in messages if isinstance(m, NodeAnnounced)}


def _segments(offers: Sequence[Offer]) -> dict[str, frozenset[tuple[ClusterId, str]]]:
    found: dict[str, frozenset[tuple[ClusterId, str]]] = {}
    for offer in offers:
        with suppress(TerminalError):  # told as a refusal
            for segment in mesh_of(announced_nodes(offer)).segments:
                for node in segment.nodes:
                    found[node] = found.get(node, frozenset()) | {(offer.cluster, segment.name)}
    return found


def _extended(offer: Offer, extras: Sequence[str]) -> Offer:
    """Return the offer with more ranges of cluster IPs."""
    if not isinstance(offer.announced, ClusterAnnounced):
        return offer
    cidrs = tuple(dict.fromkeys((*offer.announced.service_cidrs, *extras)))
    announced = msgspec.structs.replace(offer.announced, service_cidrs=cidrs)
    return msgspec.structs.replace(offer, announced=announced)


async def _read_own(clusters: Clusters) -> Picture:
    settings = PeererSettings(cluster=clusters.importing)
    async with opened(clusters.importing, clusters.access, rights(settings)) as client:
        return await read_picture(settings, client)
