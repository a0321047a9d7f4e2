"""Looks at clusters and buses: each fact by itself, so that one which fails hides no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from heliograph.bus import ConnectionSettings, connect, stream_names
from heliograph.bus.settings import shown
from heliograph.check.known import BusFacts, ClusterFacts, Fault, Version
from heliograph.check.strays import strays
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.subjects import Kind, all_clusters_filter
from heliograph.errors import HeliographError
from heliograph.kilo.peer import PEERS
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.errors import (
    ApiStatus,
    ApiUnreachable,
    Forbidden,
    NotFound,
    Unauthorized,
    Unreadable,
)
from heliograph.kube.objects import (
    CONFIG_MAPS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICE_CIDRS,
    SERVICES,
    key_of,
)
from heliograph.kube.rights import Right, missing
from heliograph.marks import EXPORT_SELECTOR, is_ours

_CONTACT_S: Final = 10.0
_LOOK_S: Final = 60.0
"""Tens of thousands of pods take some seconds."""

_HALF_A_SECOND: Final = 0.5
"""HTTP cuts the time to the second: this is the middle of what it may have been."""

Rights = Mapping[str, Iterable[Right]]
Found = Mapping[str, object]
Look = Callable[[KubeClient], Awaitable[Found]]


class _VersionInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    major: str = ""
    minor: str = ""
    git_version: str = ""


async def gather_facts(client: KubeClient, rights: Rights) -> ClusterFacts:
    """Return what is found in a cluster; `rights` are what programs need, by their names."""
    facts = await _contact(client)
    if facts.fault is not None:
        return facts
    looks: dict[str, Look] = {**_LOOKS, "rights": lambda client: _look_at_rights(client, rights)}
    found = await asyncio.gather(*(_look(client, look) for look in looks.values()))
    known: dict[str, object] = {}
    unread: dict[str, str] = {}
    for what, result in zip(looks, found, strict=True):
        if isinstance(result, str):
            unread[what] = result
        else:
            known |= result
    return msgspec.structs.replace(facts, **known, unread=unread)


async def _contact(client: KubeClient) -> ClusterFacts:
    """Ask for the version: does it answer, how quickly, what is it, and what does its clock say."""
    facts = ClusterFacts(cluster=parse_cluster_id(client.cluster), server=client.server)
    try:
        async with asyncio.timeout(_CONTACT_S):
            await _ask_version(client)  # opens the connection, which would count
            begun_s = time.time()
            version = await _ask_version(client)
            ended_s = time.time()
    except (HeliographError, TimeoutError) as error:
        return msgspec.structs.replace(facts, fault=_fault(client, error))
    asked_s = (begun_s + ended_s) / 2
    skew_s = _skew_s(client.server_date, asked_s)
    return msgspec.structs.replace(
        facts,
        answered_s=ended_s - begun_s,
        version=version,
        skew_s=skew_s,
        at_s=asked_s + (skew_s or 0),
    )


async def _ask_version(client: KubeClient) -> Version | None:
    """Return the version; None if the server does not tell it to us."""
    try:
        said = msgspec.json.decode(await client.get_raw("/version"), type=_VersionInfo)
    except Forbidden:
        return None
    except msgspec.MsgspecError as error:
        raise Unreadable("GET /version", str(error)) from error
    numbers = ["".join(filter(str.isdecimal, text)) for text in (said.major, said.minor)]
    if not all(numbers):
        return None
    major, minor = map(int, numbers)  # some write "27+"
    return Version(major=major, minor=minor, text=said.git_version)


def _skew_s(date: str, asked_s: float) -> float | None:
    try:
        server_s = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
    return server_s + _HALF_A_SECOND - asked_s


def _fault(client: KubeClient, error: Exception) -> Fault:
    where = f"the API server at {client.server}"
    match error:
        case TimeoutError():
            why = f"{where} does not answer within {_CONTACT_S:g} s"
            return Fault(reason="Unreachable", message=why)
        case ApiUnreachable():
            why = f"{where} does not answer ({error.why})"
            return Fault(reason="Unreachable", message=why)
        case Unauthorized():
            why = f"{where} does not accept the credentials (401 Unauthorized)"
            return Fault(reason="Unauthorized", message=why)
        case ApiStatus():
            why = f"{where} answers {error.status.code} {error.status.reason}"
            return Fault(reason="NotServing", message=why)
        case _:
            return Fault(reason="NotServing", message=str(error).rstrip("."))


async def _look(client: KubeClient, look: Look) -> Found | str:
    """Return what a look finds, or why it finds nothing."""
    try:
        async with asyncio.timeout(_LOOK_S):
            return await look(client)
    except TimeoutError:
        return f"no answer within {_LOOK_S:g} s"
    except Forbidden as error:
        return f"403 {error.status.reason}"
    except HeliographError as error:
        return str(error).rstrip(".")


async def _look_at_rights(client: KubeClient, rights: Rights) -> Found:
    lacking = {program: await missing(client, needed) for program, needed in rights.items()}
    return {"missing": {program: names for program, names in lacking.items() if names}}


async def _look_at_uid(client: KubeClient) -> Found:
    return {"uid": (await client.get(NAMESPACES, "", "kube-system")).metadata.uid}


async def _look_at_ranges(client: KubeClient) -> Found:
    try:
        items = (await client.list(SERVICE_CIDRS)).items
    except NotFound:
        return {"serves_ranges": False, "service_cidrs": ()}
    cidrs = sorted({cidr for item in items for cidr in item.spec.cidrs})
    return {"serves_ranges": True, "service_cidrs": tuple(cidrs)}


async def _look_at_nodes(client: KubeClient) -> Found:
    return {"nodes": tuple((await client.list(NODES)).items)}


async def _look_at_pods(client: KubeClient) -> Found:
    nodes = (await client.list(NODES)).items
    return {"strays": strays(nodes, (await client.list(PODS)).items)}


async def _look_at_peers(client: KubeClient) -> Found:
    try:
        return {"serves_peers": True, "peers": tuple((await client.list(PEERS)).items)}
    except NotFound:
        return {"serves_peers": False, "peers": ()}


async def _look_at_cilium(client: KubeClient) -> Found:
    try:
        return {"cilium": (await client.get(CONFIG_MAPS, "kube-system", "cilium-config")).data}
    except NotFound:
        return {"cilium": {}}


async def _look_at_exports(client: KubeClient) -> Found:
    services = (await client.list(SERVICES, Selection(labels=EXPORT_SELECTOR))).items
    return {"exported": tuple(key_of(service) for service in services if not is_ours(service))}


async def _look_at_namespaces(client: KubeClient) -> Found:
    found = (await client.list(NAMESPACES)).items
    return {"namespaces": frozenset(namespace.metadata.name for namespace in found)}


_LOOKS: Final[Mapping[str, Look]] = {
    "the kube-system namespace": _look_at_uid,
    "service ranges": _look_at_ranges,
    "nodes": _look_at_nodes,
    "pods": _look_at_pods,
    "Kilo's Peers": _look_at_peers,
    "Cilium's settings": _look_at_cilium,
    "exported Services": _look_at_exports,
    "namespaces": _look_at_namespaces,
}


async def gather_bus_facts(url: str, clusters: Sequence[ClusterId]) -> BusFacts:
    """Return whether a bus answers, with JetStream, and takes us as we are."""
    found = BusFacts(url=shown(url), clusters=tuple(clusters))
    settings = ConnectionSettings(urls=(url,), name="heliograph check")
    try:
        async with connect(settings) as connection:
            await stream_names(connection, all_clusters_filter(Kind.CLUSTER))
    except HeliographError as error:
        fault = Fault(reason=type(error).__name__, message=str(error).rstrip("."))
        return msgspec.structs.replace(found, fault=fault)
    return found
