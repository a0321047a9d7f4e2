"""What the programs would do in a cluster, from the API servers alone: no bus, nothing written.

The exporting clusters' messages are made by the watcher's own code, and taken in by the
reflector's, as if a stream had brought them whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import msgspec

from heliograph.admission.declaration import Declaration, Overlap, declaration_of
from heliograph.admission.explain import REASON, explain
from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy
from heliograph.contract.messages import ClusterAnnounced
from heliograph.contract.names import ClusterId
from heliograph.imports.table import Table
from heliograph.imports.whole import fill
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.rights import Right
from heliograph.membership.admissions import decide_now, own_declaration
from heliograph.membership.configmap import current
from heliograph.run.changes import Change, change_of
from heliograph.run.programs import NotFinished, cluster
from services.reflector.outlook import Outlook, foresee
from services.reflector.picture import Picture
from services.reflector.reasons import not_wanted
from services.reflector.rights import rights as reflector_rights
from services.reflector.settings import ReflectorSettings
from services.reflector.table import ImportTable, ServiceKey
from services.reflector.watch import OwnWatch
from services.watcher.offer import Offer, read_offer
from services.watcher.rights import rights as watcher_rights
from services.watcher.settings import WatcherSettings

R = TypeVar("R")
TableT = TypeVar("TableT", bound=Table[Any])

_TIME_S: Final = 60.0
_READING: Final = frozenset({"get", "list", "watch"})


class Clusters(msgspec.Struct, frozen=True, kw_only=True):
    """Whose mirrors are planned, and where.

    Attributes:
        exporting: Credentials of the clusters that export.
        importing: The cluster in which the mirrors are.
        access: Its credentials.
    """

    exporting: Mapping[ClusterId, Kubeconfig]
    importing: ClusterId
    access: Kubeconfig


async def plan_mirrors(clusters: Clusters, *, create_namespaces: bool = False) -> list[Change]:
    """Return what the importing cluster's reflector would do about the exporting clusters' mirrors.

    Mirrors that point at other clusters are left out.

    Raises:
        InputError: A cluster does not answer, or does not let us read.
        NotFinished: One could not be read in a minute.
    """
    settings = ReflectorSettings(cluster=clusters.importing, create_namespaces=create_namespaces)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(in_time(_read_own(clusters, settings)))
        offering = tasks.create_task(read_offers(clusters.exporting))
    own, picture = reading.result()
    return judge(picture, own, offering.result())


async def read_offers(exporting: Mapping[ClusterId, Kubeconfig]) -> list[Offer]:
    """Return what clusters offer, in the order given.

    Raises:
        InputError: A cluster does not answer, or does not let us read.
        NotFinished: One could not be read in a minute.
    """
    async with asyncio.TaskGroup() as tasks:
        offers = [tasks.create_task(in_time(_read_offer(*one))) for one in exporting.items()]
    return [offer.result() for offer in offers]


async def in_time(reading: Coroutine[Any, Any, R]) -> R:
    """Return what is read.

    Raises:
        NotFinished: It takes more than a minute.
    """
    try:
        async with asyncio.timeout(_TIME_S):
            return await reading
    except TimeoutError:
        message = f"the clusters could not be read within {_TIME_S:.0f} s; try again"
        raise NotFinished(message) from None


def judge(picture: Picture, own: Declaration, offers: Sequence[Offer]) -> list[Change]:
    """Return the changes that offers cause in a cluster, by mirror.

    Ranges are compared first. Nothing new is taken from a cluster whose ranges overlap, and what
    stands of it turns not ready.
    """
    refused = _overlaps(picture, own, offers)
    picture.refused = frozenset(refused)
    picture.exports |= {o.cluster: table_of(o, ImportTable(o.cluster)) for o in offers}
    exporting = frozenset(offer.cluster for offer in offers)
    outlooks = [foresee(picture, key) for key in sorted(_concerned(picture, exporting))]
    return [
        *(_refused(own.cluster, *one) for one in refused.items()),
        *_unwanted(picture, exporting, own.cluster),
        *(change for offer in offers for change in _not_exported(offer)),
        *(change for outlook in outlooks for change in _changes(outlook)),
    ]


def _overlaps(
    picture: Picture, own: Declaration, offers: Sequence[Offer]
) -> Mapping[ClusterId, tuple[Overlap, ...]]:
    """Return the clusters that are not admitted for their ranges, with what stands against them."""
    wanted = (o for o in offers if picture.imports_from(o.cluster))
    declared = [
        declaration_of(o.cluster, o.announced)
        for o in wanted
        if isinstance(o.announced, ClusterAnnounced)
    ]
    policy = RangePolicy(PRIVATE_RANGES)
    return decide_now(own, declared, picture.membership, policy).refused


def _refused(importing: ClusterId, exporting: ClusterId, overlaps: Sequence[Overlap]) -> Change:
    return Change(
        action="refuse",
        kind="Cluster",
        name=exporting,
        reason=REASON,
        message=explain(importing, overlaps),
    )


def table_of(offer: Offer, table: TableT) -> TableT:
    """Return the table once all of an offer was consumed, and confirmed by its digest."""
    return fill(table, offer.announced, offer.messages)


def _concerned(picture: Picture, exporting: frozenset[ClusterId]) -> set[ServiceKey]:
    """Return the mirrors that are, or would be, of some of the clusters."""
    exported = {key for table in picture.exports.values() for key in table.keys()}  # noqa: SIM118
    standing = picture.own.mirrors()
    return exported | {k for k in standing if picture.own.mirror(k).exporting() & exporting}


def _unwanted(
    picture: Picture, exporting: frozenset[ClusterId], importing: ClusterId
) -> Iterator[Change]:
    """Say which clusters nothing is taken from, by decision."""
    for name in sorted(exporting):
        if picture.imports_from(name):
            continue
        why = not_wanted(importing, name, left=picture.membership.left)
        yield Change(
            action="refuse", kind="Cluster", name=name, reason=why.reason, message=why.message
        )


def _not_exported(offer: Offer) -> Iterator[Change]:
    for withheld in offer.withheld:
        yield Change(
            action="refuse",
            kind="Service",
            namespace=withheld.key.namespace,
            name=withheld.key.name,
            reason=withheld.why.reason,
            message=f"in cluster {offer.cluster}: {withheld.why.message}",
        )


def _changes(outlook: Outlook) -> Iterator[Change]:
    for fate in outlook.fates:
        change = change_of(fate.kind, fate.before, fate.after, recreated=fate.recreated)
        if change is not None:
            yield change
    for refusal in outlook.refusals:
        yield Change(
            action="refuse",
            kind="Service",
            namespace=outlook.key.namespace,
            name=outlook.key.name,
            reason=refusal.reason,
            message=refusal.message,
        )


async def _read_offer(name: ClusterId, access: Kubeconfig) -> Offer:
    settings = WatcherSettings(cluster=name)
    async with opened(name, access, watcher_rights(settings)) as client:
        return await read_offer(settings, client)


async def _read_own(clusters: Clusters, settings: ReflectorSettings) -> tuple[Declaration, Picture]:
    """Return ranges and picture of the importing cluster, before anybody's export is known."""
    picture = Picture(clusters.importing, settings)
    rights = reflector_rights(ReflectorSettings(cluster=clusters.importing))
    async with opened(clusters.importing, clusters.access, rights) as client:
        watch = OwnWatch(
            client,
            picture.own,
            touched=lambda *_, **__: None,
            namespaces_changed=lambda _: None,
            families_changed=lambda: None,
        )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.follow())
            await watch.listed.wait()
            following.cancel()
        picture.membership = await current(client, settings.namespace)
        return await own_declaration(client, clusters.importing), picture


def opened(
    name: ClusterId, access: Kubeconfig, rights: Sequence[Right]
) -> AbstractAsyncContextManager[KubeClient]:
    """Open a cluster with those of a program's rights that read."""
    reading = (
        msgspec.structs.replace(right, verbs=tuple(v for v in right.verbs if v in _READING))
        for right in rights
    )
    return cluster(name, access, tuple(reading))
