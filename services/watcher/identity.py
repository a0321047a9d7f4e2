"""Makes sure that no other cluster speaks under our id: two would overwrite each other for ever."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from heliograph.announce.reading import read_stream
from heliograph.bus import Connection, Message
from heliograph.contract.messages import ClusterAnnounced, MalformedMessage, decode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import NAMESPACES

_UID_NAMESPACE: Final = "kube-system"
_log = structlog.get_logger()


class DuplicateId(InputError):
    """Another cluster announces itself under the same id, right now."""

    def __init__(self, cluster: ClusterId) -> None:
        super().__init__(
            f"cluster id {cluster!r} is taken: another cluster announces itself under it on this "
            f"bus; nothing was published. Give this one an id of its own (--cluster)"
        )
        self.cluster = cluster


async def cluster_uid(client: KubeClient) -> str:
    """Return what tells this cluster from all others: the UID of its kube-system namespace."""
    return (await client.get(NAMESPACES, "", _UID_NAMESPACE)).metadata.uid


async def claim_id(connection: Connection, cluster: ClusterId, uid: str, *, lease_s: float) -> None:
    """Return once the id is ours: nobody else announces it within a lease's time.

    Only when the stream holds the announcement of another cluster is there anything to wait for.

    Raises:
        DuplicateId: Another cluster announces it.
    """
    subject = Subject(cluster=cluster, kind=Kind.CLUSTER, name=cluster)
    reading = await read_stream(connection, cluster, (Kind.CLUSTER,))
    if not any(_is_foreign(subject, payload, uid) for payload in reading.live.values()):
        return
    heard = asyncio.Event()

    def on_announcement(message: Message) -> None:
        if _is_foreign(subject, message.payload, uid):
            heard.set()

    _log.warning("id was another cluster's, waiting for its lease to run out", cluster=cluster)
    subscription = await connection.subscribe(str(subject), on_announcement)
    try:
        async with asyncio.timeout(lease_s):
            await heard.wait()
    except TimeoutError:
        return
    finally:
        await subscription.unsubscribe()
    raise DuplicateId(cluster)


def _is_foreign(subject: Subject, payload: bytes, uid: str) -> bool:
    try:
        message = decode(subject, payload)
    except MalformedMessage:
        return False
    return isinstance(message, ClusterAnnounced) and message.uid not in {"", uid}
