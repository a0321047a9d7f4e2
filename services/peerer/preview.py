"""What the peerer would write, without writing it: `heliograph peerer --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heliograph.contract.names import parse_cluster_id
from heliograph.imports.consume import ImportBus
from heliograph.kilo.peer import PEERS
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from services.peerer.hearing import hear_others, read_own
from services.peerer.outlook import Outlook, foresee
from services.peerer.picture import Picture
from services.peerer.settings import PeererSettings


async def preview(
    settings: PeererSettings, client: KubeClient, buses: Sequence[ImportBus]
) -> list[str]:
    """Return one line for each Peer that would be written, and for each refusal."""
    picture = await read_picture(settings, client)
    await hear_others(picture, buses)
    outlooks = (foresee(picture, exporting) for exporting in sorted(picture.exporting()))
    return [line for outlook in outlooks for line in _lines(outlook)]


async def read_picture(settings: PeererSettings, client: KubeClient) -> Picture:
    """Return the importing cluster's Peers, ranges and decisions; it may have no kind Peer."""
    picture = Picture(parse_cluster_id(settings.cluster), settings)
    await read_own(picture, client, namespace=settings.namespace)
    try:
        picture.own.list((await client.list(PEERS)).items)
    except NotFound:
        picture.absent = True
    return picture


def _lines(outlook: Outlook) -> Iterator[str]:
    for name in sorted(outlook.before.keys() | outlook.after.keys()):
        before, after = outlook.before.get(name), outlook.after.get(name)
        if after is None:
            yield f"delete  Peer {name}"
        elif before is None:
            yield f"create  Peer {name}"
        elif before.spec != after.spec:
            yield f"replace Peer {name}"
    for refusal in outlook.refusals:
        yield f"refuse  {refusal.message}"
