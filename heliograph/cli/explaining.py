"""Opens what is to be looked at, explains a Service, and shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from heliograph.bus import BusUnreachable, Connection, ConnectionSettings, connect
from heliograph.cli import explained
from heliograph.cli.asked import StatusSettings
from heliograph.cli.clusters import parse_clusters
from heliograph.cli.loading import own_cluster
from heliograph.cli.services import ServiceName
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.errors import HeliographError, InputError
from heliograph.explain.chain import explain as explain_facts
from heliograph.explain.facts import API
from heliograph.explain.gathering import Sources, gather, survey
from heliograph.explain.link import Chain
from heliograph.explain.pairs import Survey, pairs_of
from heliograph.explain.reading import names
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.nearest import did_you_mean
from heliograph.run.settings import BusSettings
from services.reflector.table import ServiceKey

_CONNECT_S: Final = 2.0
_AGAIN_S: Final = 0.5
"""A change that is under way is through within this time."""

_UNDER_WAY: Final = frozenset(
    {
        *("MessageMissing", "MessageDiffers", "MessageLeft", "NoAddress"),
        *("MirrorMissing", "MirrorDiffers", "MirrorLeft", "SliceMissing", "SliceDiffers"),
    }
)
"""What is so for a moment with every change, and a fault if it stays."""


class Buses(msgspec.Struct, frozen=True, kw_only=True):
    """Where clusters publish.

    Attributes:
        settings: How to reach a bus, and where most of them do.
        owner: The cluster as whom the bus is asked; None for nobody's user.
        others: URLs of the buses that clusters have for themselves.
    """

    settings: BusSettings
    owner: str | None = None
    others: Mapping[ClusterId, str] = {}

    @classmethod
    def of(cls, settings: BusSettings, where: StatusSettings) -> Buses:
        """Return what the settings say.

        Raises:
            InputError: An entry names no cluster.
        """
        entries = (entry.partition("=") for entry in where.import_from)
        others = {parse_cluster_id(name): url for name, _, url in entries if url}
        return cls(settings=settings, owner=own_cluster(where), others=others)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be explained.

    Attributes:
        key: The Service.
        access: Credentials of the clusters that were given.
        exporting: Only from these; empty for all.
        importing: Only to these; empty for all.
    """

    key: ServiceKey
    access: Mapping[ClusterId, Kubeconfig]
    exporting: tuple[ClusterId, ...]
    importing: tuple[ClusterId, ...]

    @property
    def clusters(self) -> tuple[ClusterId, ...]:
        """All clusters that are named."""
        return tuple(dict.fromkeys((*self.access, *self.exporting, *self.importing)))


class NothingSeen(HeliographError):
    """Neither a cluster nor a bus could be looked at."""


def ask(
    service: str, *, clusters: Sequence[str], exporting: Sequence[str], importing: Sequence[str]
) -> Asked:
    """Return what the arguments ask for.

    Raises:
        InputError: One of them is of another form, or there is nothing to look at.
    """
    name = ServiceName.parse(service)
    sides = [text for text in (*exporting, *importing) if "=" in text]
    access = parse_clusters(list(dict.fromkeys((*clusters, *sides))))
    asked = Asked(
        key=ServiceKey(name.namespace, name.name),
        access=access,
        exporting=_ids(exporting),
        importing=_ids(importing),
    )
    if not asked.clusters:
        raise InputError("give clusters: --cluster east=KUBECONFIG --cluster west=KUBECONFIG")
    return asked


async def explain(buses: Buses, asked: Asked, *, as_json: bool) -> int:
    """Print the chains; return 1 if a link is broken.

    Raises:
        InputError: The Service, its namespace or a cluster is not known.
        NothingSeen: Nothing could be looked at.
    """
    async with AsyncExitStack() as stack:
        sources = await _open(stack, buses, asked)
        chains = await _explain(sources, asked)
        if any(c.broken is not None and c.broken.reason in _UNDER_WAY for c in chains):
            await asyncio.sleep(_AGAIN_S)
            chains = await _explain(sources, asked)
    explained.show(str(asked.key), chains, as_json=as_json)
    return 1 if any(chain.broken is not None for chain in chains) else 0


async def _explain(sources: Sources, asked: Asked) -> list[Chain]:
    seen = await survey(sources, asked.key, asked.clusters)
    _require_clusters(seen, asked)
    if seen.blind:
        raise NothingSeen(f"nothing could be looked at: {'; '.join(seen.faults)}")
    if not seen.found:
        raise InputError(await _not_found(sources, seen, asked.key))
    pairs = pairs_of(seen, asked.exporting, asked.importing)
    if not pairs:
        raise InputError(_no_pair(seen, asked))
    return [explain_facts(facts) for facts in await gather(sources, seen, asked.key, pairs)]


def _require_clusters(seen: Survey, asked: Asked) -> None:
    """Make sure that clusters of which only the id was given are known on a bus."""
    for cluster in (*asked.exporting, *asked.importing):
        said = seen.buses[cluster]
        if cluster not in asked.access and said.fault:
            known = (c for c in seen.places if c != cluster and not _is_unknown(seen, c))
            raise InputError(
                f"cluster {cluster} is not known: no kubeconfig of it was given, and {said.fault}"
                f"{did_you_mean(cluster, known)}"
            )


def _is_unknown(seen: Survey, cluster: ClusterId) -> bool:
    return API in seen.places[cluster].unread and bool(seen.buses[cluster].fault)


async def _not_found(sources: Sources, seen: Survey, key: ServiceKey) -> str:
    """Return that nobody has the Service, with the nearest names."""
    listed = await asyncio.gather(*(names(client) for client in sources.clients.values()))
    known = {name for some in listed for name in some}
    spaces = {name.partition("/")[0] for name in known}
    unseen = f" (not looked at: {'; '.join(seen.faults)})" if seen.faults else ""
    where = ", ".join(seen.places)
    namespaces = [place.namespace for place in seen.places.values()]
    if not any(namespaces) and key.namespace not in spaces:
        near = did_you_mean(key.namespace, spaces)
        return f"no namespace {key.namespace} in {where}, nor a Service in it{unseen}{near}"
    return f"no Service {key} in {where}, nor on the bus{unseen}{did_you_mean(str(key), known)}"


def _no_pair(seen: Survey, asked: Asked) -> str:
    exporting = asked.exporting or tuple(c for c, p in seen.places.items() if p.service)
    return (
        f"Service {asked.key} is in cluster {', '.join(exporting)}, and no other cluster was "
        f"given: name the one where it should be too (--to west=KUBECONFIG)"
    )


def _ids(texts: Sequence[str]) -> tuple[ClusterId, ...]:
    return tuple(dict.fromkeys(parse_cluster_id(text.partition("=")[0]) for text in texts))


async def _open(stack: AsyncExitStack, buses: Buses, asked: Asked) -> Sources:
    clients = {
        cluster: await stack.enter_async_context(KubeClient(cluster, kubeconfig))
        for cluster, kubeconfig in asked.access.items()
    }
    opened: dict[tuple[str, ...], Connection | str] = {}
    for urls in dict.fromkeys([buses.settings.nats, *((url,) for url in buses.others.values())]):
        settings = buses.settings.bus("explain", buses.owner, urls)
        opened[urls] = await _connect(stack, settings)
    return Sources(
        clients=clients,
        buses={cluster: opened[(url,)] for cluster, url in buses.others.items()},
        other_bus=opened[buses.settings.nats],
    )


async def _connect(stack: AsyncExitStack, settings: ConnectionSettings) -> Connection | str:
    """Connect; return why not, if the bus is away: what the clusters show is told all the same."""
    quick = msgspec.structs.replace(settings, connect_timeout_s=_CONNECT_S)
    try:
        return await stack.enter_async_context(connect(quick, on_warning=lambda _: None))
    except BusUnreachable as error:
        return str(error).rstrip(".")
