"""Gathers all that is known of a Service: from API servers, buses and agents, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from heliograph.bus import Connection
from heliograph.contract.messages import ClusterAnnounced
from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError
from heliograph.explain.facts import API, Facts, InCluster, OnBus, Tunnels
from heliograph.explain.importing import addresses
from heliograph.explain.kilo_way import holder_of, leader_of, unclaimed
from heliograph.explain.listening import hear, with_nodes
from heliograph.explain.offered import offer
from heliograph.explain.pairs import Survey, pointed_at
from heliograph.explain.reading import look, with_held, with_peers, with_ranges
from heliograph.kube.client import KubeClient
from heliograph.run.tunnels import ask_tunnels
from services.reflector.table import ServiceKey

_ANSWER_S: Final = 1.0
"""How long agents are waited for that have spoken before: they answer in milliseconds."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look.

    Attributes:
        clients: API servers, by cluster.
        buses: The buses that clusters have for themselves, or why they cannot be reached.
        other_bus: The bus of all other clusters, or why it cannot be reached.
    """

    clients: Mapping[ClusterId, KubeClient]
    buses: Mapping[ClusterId, Connection | str]
    other_bus: Connection | str

    def bus(self, cluster: ClusterId) -> Connection | str:
        """Return where a cluster publishes, or why that is not known."""
        return self.buses.get(cluster, self.other_bus)


async def survey(sources: Sources, key: ServiceKey, clusters: Sequence[ClusterId]) -> Survey:
    """Look at some clusters, and at those that their mirrors name."""
    looks = await asyncio.gather(*(_look(sources, cluster, key) for cluster in clusters))
    places = {place.cluster: place for place in looks}
    for cluster in pointed_at(looks):
        if cluster not in places:
            places[cluster] = await _look(sources, cluster, key)
    said = await asyncio.gather(*(_hear(sources, p, key, places) for p in places.values()))
    ranged = await asyncio.gather(
        *(_ranged(sources, place, on) for place, on in zip(places.values(), said, strict=True))
    )
    return Survey(
        places={place.cluster: place for place in ranged}, buses={on.cluster: on for on in said}
    )


async def gather(
    sources: Sources, seen: Survey, key: ServiceKey, pairs: Iterable[tuple[ClusterId, ClusterId]]
) -> list[Facts]:
    """Return what is known between each two clusters."""
    known = tuple(pairs)
    tunnels = await _tunnels(sources, seen, {importing for _, importing in known})
    return await asyncio.gather(*(_between(sources, seen, key, pair, tunnels) for pair in known))


async def _look(sources: Sources, cluster: ClusterId, key: ServiceKey) -> InCluster:
    client = sources.clients.get(cluster)
    if client is None:
        why = f"no kubeconfig of cluster {cluster} was given (--cluster {cluster}=KUBECONFIG)"
        return InCluster(cluster=cluster, unread={API: why})
    return await look(client, key)


async def _hear(
    sources: Sources, place: InCluster, key: ServiceKey, exporting: Iterable[ClusterId]
) -> OnBus:
    bus = sources.bus(place.cluster)
    if isinstance(bus, str):
        return OnBus(cluster=place.cluster, fault=bus)
    return await hear(bus, place, key, exporting)


async def _ranged(sources: Sources, place: InCluster, said: OnBus) -> InCluster:
    """Return the cluster with its ranges, read from it unless it announces them."""
    if isinstance(said.announced, ClusterAnnounced) or API in place.unread:
        return place
    return await with_ranges(sources.clients[place.cluster], place)


async def _between(
    sources: Sources,
    seen: Survey,
    key: ServiceKey,
    pair: tuple[ClusterId, ClusterId],
    tunnels: Mapping[ClusterId, Tunnels],
) -> Facts:
    exporting, importing = pair
    facts = Facts(
        key=key,
        exporting=seen.places[exporting],
        importing=seen.places[importing],
        buses=seen.buses,
        tunnels=tunnels.get(importing),
    )
    if API in facts.importing.unread:
        return facts
    client = sources.clients[importing]
    here = await _held(client, facts)
    if facts.tunnels is None:
        here = await _peers(client, here, exporting, addresses(facts))
    facts = msgspec.structs.replace(facts, importing=here)
    return await _with_leaders(sources, facts)


async def _held(client: KubeClient, facts: Facts) -> InCluster:
    """Look for removals that are held, where a mirror stands that nobody exports."""
    exported = offer(facts.exporting).service if facts.said.fault else facts.said.service
    if exported is not None or facts.importing.service is None:
        return facts.importing
    return await with_held(client, facts.importing, facts.exporting.cluster)


async def _peers(
    client: KubeClient, here: InCluster, exporting: ClusterId, wanted: Sequence[str]
) -> InCluster:
    """Read the exporting cluster's Peers; all of them only if these do not route the addresses."""
    found = await with_peers(client, here, exporting)
    if found.peers is None or not unclaimed(wanted, found.peers):
        return found
    return await with_peers(client, here, None)


async def _with_leaders(sources: Sources, facts: Facts) -> Facts:
    """Read the nodes that the claim went to, as far as Peers name them."""
    bus, peers = sources.bus(facts.exporting.cluster), facts.importing.peers or ()
    holders = {leader_of(holder_of(address, peers)) for address in addresses(facts)}
    nodes = sorted(holders - {None}, key=str)
    if isinstance(bus, str) or not nodes:
        return facts
    said = await with_nodes(bus, facts.said, (node for node in nodes if node))
    return msgspec.structs.replace(facts, buses={**facts.buses, said.cluster: said})


async def _tunnels(
    sources: Sources, seen: Survey, importing: Iterable[ClusterId]
) -> Mapping[ClusterId, Tunnels]:
    """Ask the agents of those clusters that have some."""
    having = [cluster for cluster in sorted(importing) if _has_agents(seen, cluster)]
    told = await asyncio.gather(*(_ask(sources.bus(cluster), cluster) for cluster in having))
    return dict(zip(having, told, strict=True))


def _has_agents(seen: Survey, cluster: ClusterId) -> bool:
    announced = seen.buses[cluster].announced
    return isinstance(announced, ClusterAnnounced) and announced.peering == "wireguard"


async def _ask(bus: Connection | str, cluster: ClusterId) -> Tunnels:
    if isinstance(bus, str):
        return Tunnels(fault=bus)
    try:
        told = await ask_tunnels(bus, cluster, within_s=_ANSWER_S)
    except HeliographError as error:
        return Tunnels(fault=str(error))
    return Tunnels(told=told.tunnels, missing=told.missing)
