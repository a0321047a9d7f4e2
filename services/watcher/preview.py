"""What the watcher would publish, without publishing it: `heliograph watcher --dry-run`."""

from __future__ import annotations

from heliograph.announce.reading import StreamReading, read_stream
from heliograph.announce.table import StreamTable
from heliograph.bus import Connection, StreamMissing, stream_info
from heliograph.contract.messages import Message, encode
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.subjects import stream_name
from heliograph.kube.client import KubeClient
from heliograph.membership.configmap import current
from services.watcher.offer import Withheld, announcements, listed_tables
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import KINDS


async def preview(
    settings: WatcherSettings, client: KubeClient, connection: Connection
) -> list[str]:
    """Return one line for each message that would be published or withdrawn, or refused."""
    cluster = parse_cluster_id(settings.cluster)
    tables = await listed_tables(settings, client)
    reading = await _reading(connection, cluster)
    tables.remember(reading.live)
    stream = StreamTable(KINDS)
    stream.reset(reading.live)
    wanted: dict[str, Message] = {}
    refused: list[str] = []
    left = (await current(client, settings.namespace)).left
    for result in () if left else announcements(cluster, tables):
        if isinstance(result, Withheld):
            refused.append(f"refuse  {result.why.message}")
        else:
            wanted |= {str(subject): message for subject, message in result.items()}
    publish = [f"publish {s}" for s, m in sorted(wanted.items()) if stream.offer(s, encode(m))]
    withdraw = [f"withdraw {subject}" for subject in sorted(stream.leftovers(wanted))]
    return publish + withdraw + refused


async def _reading(connection: Connection, cluster: ClusterId) -> StreamReading:
    """Read the stream; one that does not exist holds nothing."""
    try:
        await stream_info(connection, stream_name(cluster))
    except StreamMissing:
        return StreamReading(cluster=cluster, kinds=KINDS, live={}, newest_epoch=0)
    return await read_stream(connection, cluster, KINDS)
